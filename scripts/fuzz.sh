#!/usr/bin/env bash
# Feeds the parsers, recovery and a whole session with whatever libFuzzer finds: scripts/fuzz.sh [MINUTES [TARGET]...].
# Each target gets MINUTES (1). What was found is kept in tests/fuzz/artifacts. Needs cargo-fuzz, and no nightly.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-1}
[[ $minutes =~ ^[1-9][0-9]*$ ]] || { echo "usage: scripts/fuzz.sh [MINUTES [TARGET]...]" >&2; exit 2; }
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "cargo-fuzz is not here: cargo install cargo-fuzz --locked" >&2
    exit 2
fi
targets=("${@:2}")
((${#targets[@]} > 0)) || targets=(lines commands records replies recovery session)

out=$(mktemp)
trap 'rm -f "$out"' EXIT
failed=()
for target in "${targets[@]}"; do
    cargo fuzz build -s none --fuzz-dir tests/fuzz "$target" 2>"$out" || { cat "$out" >&2; exit 2; }
    mkdir -p "tests/fuzz/corpus/$target"
    result=well
    cargo fuzz run -s none --fuzz-dir tests/fuzz "$target" "tests/fuzz/corpus/$target" "tests/fuzz/seeds/$target" -- \
        -max_total_time=$((minutes * 60)) -dict=tests/fuzz/dictionary.txt -max_len=20000 -print_final_stats=1 \
        -timeout=20 -rss_limit_mb=4096 >"$out" 2>&1 || { result=FAILED; failed+=("$target"); }
    runs=$(awk '/stat::number_of_executed_units/ { print $2 }' "$out")
    coverage=$(grep -o 'cov: [0-9]*' "$out" | tail -n 1 || true)
    echo "$target: $result, ${runs:-0} runs, ${coverage:-cov: 0}"
    [[ $result == well ]] || tail -n 30 "$out"
done
((${#failed[@]} == 0)) || { echo "found something: ${failed[*]}" >&2; exit 1; }
