# shellcheck shell=bash
# For the scripts beside it: waits for at most ten seconds until a command succeeds.
until_true() {
    for ((i = 0; i < 100; i++)); do
        "$@" && return
        sleep 0.1
    done
    echo "waited in vain for: $*" >&2
    return 1
}
