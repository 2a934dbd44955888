#!/usr/bin/env bash
# Draws scripts/session.svg: a session of the terminal client as it is on the screen. Needs tmux and python3.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/until_true.sh

columns=86
rows=12
work=$(mktemp -d)
tmux() { command tmux -L "chinwag-session-$$" -f /dev/null "$@"; }
server=
finish() {
    tmux kill-server 2>/dev/null || true
    exec 9>&- || true
    [[ -z $server ]] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

cargo build --release --quiet --features client
target/release/chinwagd --listen 127.0.0.1:0 --data "$work/data" --kdf-rounds 1000 >"$work/out" 2>"$work/log" &
server=$!

until_true grep -q listening "$work/out"
address=$(awk '{ print $3 }' "$work/out")

export XDG_CONFIG_HOME=$work/config CHINWAG_PASSWORD=correct-horse
say() { # NAME [FLAG] < LINES
    target/release/chinwag --user "$@" "$address" >/dev/null
}
is_shown() { tmux capture-pane -p -t alice | grep -qF "$1"; }
type_in() { tmux send-keys -t alice -l "$1"; }

say alice --register </dev/null
say bob --register <<<'anyone up for lunch?'
say carol --register <<<'give me ten minutes, then yes'
printf '/msg alice the key is under the mat\n' | say bob

tmux new-session -d -s alice -x "$columns" -y "$rows" \
    "exec target/release/chinwag --user alice $address"
until_true is_shown 'under the mat'
type_in 'noodles, in the new place by the river?'
tmux send-keys -t alice Enter
until_true is_shown 'by the river?'
say carol <<<'/me gets her coat'
until_true is_shown 'gets her coat'
say bob <<<'Alice, you are buying :)'
until_true is_shown 'you are buying'
# Somebody who stays: the input does not end before the script does.
mkfifo "$work/input"
exec 9<>"$work/input"
say dave --register <"$work/input" &
until_true is_shown 'dave joined'
type_in '/reply found it, thank y'
until_true is_shown 'thank y'

tmux capture-pane -e -p -t alice | python3 scripts/terminal_svg.py "$columns" "$rows" >scripts/session.svg
echo "scripts/session.svg"
