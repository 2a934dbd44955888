#!/bin/sh
# Builds the server and the load test, and runs it; see scripts/loadtest.sh --help.
set -eu
cd "$(dirname "$0")/.."
# As many connections as the system allows, where it allows more than is set.
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
cargo build --release --quiet
# Run by itself and not by cargo, which would add words of its own where it fails.
program=$(cargo bench --quiet --bench loadtest --no-run --message-format=json-render-diagnostics |
    sed -n 's/.*"executable":"\([^"]*loadtest[^"]*\)".*/\1/p')
exec "$program" --bench "$@"
