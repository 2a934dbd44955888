#!/usr/bin/env bash
# Draws src/gui/light.png and src/gui/dark.png: the window with a few conversations. Needs Xvfb, xdotool and
# ImageMagick's import.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
running=()
finish() {
    ((${#running[@]} == 0)) || kill "${running[@]}" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

# Waits for at most ten seconds until a command succeeds.
until_true() {
    for ((i = 0; i < 100; i++)); do
        "$@" && return
        sleep 0.1
    done
    echo "waited in vain for: $*" >&2
    return 1
}

cargo build --quiet --features client
cargo build --quiet --manifest-path src/gui/Cargo.toml
gui=$(cargo metadata --format-version 1 --no-deps --manifest-path src/gui/Cargo.toml |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/chinwag-gui

Xvfb -displayfd 3 -screen 0 "${SIZE:-1000x640}x24" 3>"$work/display" 2>/dev/null &
running+=($!)
until_true test -s "$work/display"
DISPLAY=:$(cat "$work/display")
export DISPLAY XDG_CONFIG_HOME=$work/config CHINWAG_PASSWORD=correct-horse LIBGL_ALWAYS_SOFTWARE=1 TZ=UTC0
unset WAYLAND_DISPLAY

target/debug/chinwagd --listen 127.0.0.1:0 --data "$work/data" --kdf-rounds 1000 >"$work/out" 2>/dev/null &
running+=($!)
until_true grep -q listening "$work/out"
address=$(awk '{ print $3 }' "$work/out")

say() { # NAME [FLAG] < LINES
    target/debug/chinwag --user "$@" "$address" >/dev/null
}
# People who stay: their input does not end before the script does.
stay() { # NAME
    mkfifo "$work/$1"
    exec {descriptor}<>"$work/$1"
    target/debug/chinwag --user "$1" "$address" <"$work/$1" >/dev/null 2>&1 &
    running+=($!)
}

say alice --register </dev/null
say bob --register <<<'good morning! anyone up for lunch today?'
say carol --register <<<'give me ten minutes, then yes'
say dave --register <<<'there is a new place by the river: https://river.example/menu - they have noodles'
say bob <<<'noodles it is. Alice, you are buying :)'
stay bob
stay carol
stay dave
until_true grep -q dave "$work/data/chat_history.txt"

shoot() { # THEME-CLICKS FILE
    # As at the first start, which asks for the name as well.
    rm -rf "$XDG_CONFIG_HOME"
    "$gui" "$address" 2>/dev/null &
    local window=$!
    running+=("$window")
    until_true xdotool search --onlyvisible --name chinwag >"$work/id"
    local id
    id=$(head -n 1 "$work/id")
    xdotool windowsize "$id" "${WIDTH:-980}" "${HEIGHT:-620}" windowfocus --sync "$id"
    sleep 1
    xdotool type --delay 30 alice
    xdotool key Tab
    xdotool type --delay 30 correct-horse
    xdotool key Return
    until_true is_in "$id"
    for ((i = 0; i < $1; i++)); do
        xdotool key F2
        sleep 0.2
    done
    echo '/msg alice psst, the key is under the mat' >"$work/bob"
    echo '/me gets her coat' >"$work/carol"
    echo '/msg alice can you bring the projector?' >"$work/dave"
    xdotool type --delay 30 'on my way, save me a seat'
    xdotool key Return
    sleep 1
    xdotool type --delay 30 'and a'
    sleep 0.5
    import -window "$id" "$2"
    kill "$window"
    wait "$window" 2>/dev/null || true
}
is_in() { [[ $(xdotool getwindowname "$1") == *alice* ]]; }

shoot 1 src/gui/light.png
shoot 2 src/gui/dark.png
echo 'src/gui/light.png src/gui/dark.png'
