#!/usr/bin/env bash
# The one check, for a person and for CI: format, clippy, the crates of the default build, the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

# All crates of `cargo build`, the ones it names itself and theirs. A small server is one that stays small: a new
# name here needs a reason in its commit.
crates_allowed="
block-buffer cfg-if chinwag cpufeatures crypto-common digest env_filter env_logger errno getrandom hex hybrid-array
libc log mio sha2 signal-hook signal-hook-mio signal-hook-registry slab socket2 typenum"

echo "== format"
cargo fmt --check

echo "== clippy"
cargo clippy --all-targets -- -D warnings
cargo clippy --all-targets --features client -- -D warnings

echo "== crates of the default build"
# For one target, so that the answer is the same on every machine.
tree=$(cargo tree --edges normal --prefix none --target x86_64-unknown-linux-gnu)
crates=$(awk '{ print $1 }' <<<"$tree" | sort -u)
new=$(grep -vxF -f <(tr ' ' '\n' <<<"$crates_allowed" | sed '/^$/d') <<<"$crates" || true)
if [[ -n $new ]]; then
    echo "new in the default build, and not on the list in scripts/check.sh:" $new >&2
    exit 1
fi
echo "none but the $(wc -l <<<"$crates") on the list"

echo "== tests"
cargo test --features client

echo "== all is well"
