#!/usr/bin/env bash
# Runs fresh seeds of the simulation on all cores for some minutes, 10 unless told otherwise, and prints what
# happened: turns, messages, restarts, faults of each kind, and the seeds that failed. Exit status 1 where one did.
# Ctrl-C ends it early, with all that was counted until then.
#
#     scripts/soak.sh [MINUTES]
#     SEED=123 cargo test --test simulated everything      # one of its seeds again
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-10}
[[ $minutes =~ ^[1-9][0-9]*$ ]] || { echo "usage: scripts/soak.sh [MINUTES]" >&2; exit 2; }
from=${SOAK_FROM:-$(date +%s)000}
folder=$(mktemp -d)
cargo test --quiet --no-run --test simulated

# Each core has its own seeds, far from the others'.
cores=$(nproc)
for ((core = 0; core < cores; core++)); do
    SOAK_MINUTES=$minutes SOAK_STOP=$folder/stop SOAK_FROM=$((from + core * 1000000000)) RUST_BACKTRACE=0 \
        setsid cargo test --quiet --test simulated fresh_seeds -- --ignored --nocapture >"$folder/$core" 2>&1 &
done
trap 'touch "$folder/stop"; echo "ending, after the seeds under way" >&2' INT TERM
while [[ -n $(jobs -r) ]]; do wait || true; done

echo "in all, on $cores cores, from seed $from:"
awk '$1 ~ /^[0-9]+$/ && NF > 1 { count = $1; $1 = ""; sub(/^ /, "")
    if (/slowest/) { if (count > most[$0]) most[$0] = count } else sum[$0] += count }
    END { for (what in sum) printf "%12d  %s\n", sum[what], what
          for (what in most) printf "%12d  %s\n", most[what], what }' "$folder"/[0-9]* | sort -k 2
failed=0
for run in "$folder"/[0-9]*; do
    # What went red, and how to see it again.
    grep -e '^\[' -e '^seed ' -e 'panicked at src/' "$run" || true
    grep -q 'test result: ok' "$run" || failed=1
done
if ((failed)); then
    echo "a run failed; all that they said is in $folder" >&2
    exit 1
fi
rm -r "$folder"
echo "no seed failed"
