#!/usr/bin/env bash
# Draws src/gui/light.png and src/gui/dark.png, or the files that LIGHT and DARK name: the window with a few
# conversations. Needs Xvfb, xdotool and ImageMagick. WIDTH, HEIGHT and WINIT_X11_SCALE_FACTOR make it another size.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/until_true.sh

work=$(mktemp -d)
running=()
finish() {
    ((${#running[@]} == 0)) || kill "${running[@]}" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

cargo build --quiet --features client
cargo build --quiet --manifest-path src/gui/Cargo.toml
gui=$(cargo metadata --format-version 1 --no-deps --manifest-path src/gui/Cargo.toml |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/chinwag-gui

Xvfb -noreset -displayfd 3 -screen 0 2000x1400x24 3>"$work/display" 2>/dev/null &
running+=($!)
until_true test -s "$work/display"
DISPLAY=:$(cat "$work/display")
export DISPLAY XDG_CONFIG_HOME=$work/config CHINWAG_PASSWORD=correct-horse LIBGL_ALWAYS_SOFTWARE=1 TZ=UTC0
unset WAYLAND_DISPLAY

# A server with people on it who have said something. Sets address.
fill() {
    local data
    data=$(mktemp -d -p "$work")
    target/debug/chinwagd --listen 127.0.0.1:0 --data "$data" --kdf-rounds 1000 >"$data/out" 2>/dev/null &
    running+=($!)
    until_true grep -q listening "$data/out"
    address=$(awk '{ print $3 }' "$data/out")
    say alice --register </dev/null
    say bob --register <<<'good morning! anyone up for lunch today?'
    say carol --register <<<'give me ten minutes, then yes'
    say dave --register <<<'there is a new place by the river: https://river.example/menu - they have noodles'
    say bob <<<'noodles it is. Alice, you are buying :)'
    log=$data/chat_history.txt
    for name in bob carol dave; do
        stay "$name"
    done
}
say() { # NAME [FLAG] < LINES
    target/debug/chinwag --user "$@" "$address" >/dev/null
}
# Someone who stays: the input does not end before the script does.
stay() { # NAME
    rm -f "$work/$1"
    mkfifo "$work/$1"
    exec {descriptor}<>"$work/$1"
    target/debug/chinwag --user "$1" "$address" <"$work/$1" >/dev/null 2>&1 &
    running+=($!)
}
# Someone who stays says this, and it is on disk.
says() { # NAME LINE TEXT
    echo "$2" >"$work/$1"
    until_true grep -q "$3" "$log"
}
types() { # LINE TEXT
    xdotool type --delay 20 "$1"
    xdotool key Return
    until_true grep -q "$2" "$log"
}
# Waits until two pictures of the window in a row are the same.
settle() { # WINDOW
    rm -f "$work/before.png"
    until_true is_settled "$1"
}
is_settled() {
    local same=0
    is_changed "$1" && same=1
    mv "$work/now.png" "$work/before.png"
    return "$same"
}
# Whether it looks other than the last time.
is_changed() {
    import -window "$1" "$work/now.png"
    [[ ! -f $work/before.png ]] || ! cmp -s <(convert "$work/before.png" rgb:-) <(convert "$work/now.png" rgb:-)
}
is_in() { [[ $(xdotool getwindowname "$1") == *alice* ]]; }

# Whether the window is light or dark, as wanted; if not, the key for the next theme is pressed.
is_made() { # THEME WINDOW
    settle "$2"
    local grey theme=light
    grey=$(convert "$work/before.png" -resize 1x1! -colorspace gray -format '%[fx:int(mean*100)]' info:)
    ((grey > 50)) || theme=dark
    [[ $theme == "$1" ]] || { xdotool key F2; return 1; }
}

shoot() { # THEME FILE FUNCTION
    # As at the first start, which asks for the name as well.
    rm -rf "$XDG_CONFIG_HOME"
    fill
    "$gui" "$address" 2>/dev/null &
    local window=$! id
    running+=("$window")
    until_true xdotool search --onlyvisible --name chinwag >"$work/id"
    id=$(head -n 1 "$work/id")
    xdotool windowsize --sync "$id" "${WIDTH:-980}" "${HEIGHT:-620}" windowfocus --sync "$id"
    settle "$id"
    xdotool type --delay 20 alice
    xdotool key Tab
    xdotool type --delay 20 correct-horse
    xdotool key Return
    until_true is_in "$id"
    settle "$id"
    until_true is_made "$1" "$id"
    "$3"
    settle "$id"
    import -window "$id" "$2"
    kill "$window"
    wait "$window" 2>/dev/null || true
}
# Everyone's tab; others wait to be read.
among_all() {
    says bob '/msg alice psst, the key is under the mat' 'under the mat'
    says dave '/msg alice can you bring the projector?' projector
    says carol '/me gets her coat' 'her coat'
    types 'on my way, save me a seat' 'a seat'
    xdotool type --delay 20 'and a'
}
# A private tab.
with_bob() {
    says bob '/msg alice did you find the key?' 'find the key'
    xdotool key ctrl+Tab
    types 'it was under the mat, as always' 'as always'
    says bob '/msg alice good. Mind the cat, she wants out' 'the cat'
    types 'too late :)' 'too late'
    says dave '/msg alice can you bring the projector?' projector
    says dave '/msg alice and the long cable' cable
    says carol 'alice, is there room for one more in your car?' 'your car'
}

shoot light "${LIGHT:-src/gui/light.png}" among_all
shoot dark "${DARK:-src/gui/dark.png}" with_bob
echo "${LIGHT:-src/gui/light.png} ${DARK:-src/gui/dark.png}"
