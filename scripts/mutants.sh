#!/usr/bin/env bash
# Proves the simulation: applies each patch of tests/mutants to a copy of the sources, one at a time, and shows which
# check goes red. One that survives is a missing check. Run by hand; it takes some minutes.
#
#     scripts/mutants.sh [NAME]...      # only those
#
# The words before a patch's diff say what it breaks.
set -euo pipefail
cd "$(dirname "$0")/.."

patches=(tests/mutants/*.patch)
if (($# > 0)); then
    patches=("${@/#/tests/mutants/}")
    patches=("${patches[@]/%/.patch}")
fi
for patch in "${patches[@]}"; do
    [[ -f $patch ]] || { echo "there is no $patch" >&2; exit 2; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/copy"
# What is there now, committed or not, and nothing that was built. As of now, so that it is newer than what a folder
# that is used again was built from.
git ls-files -z --cached --others --exclude-standard | tar --null --files-from - --create | tar -x -m -C "$folder/copy"
export CARGO_TARGET_DIR=${MUTANTS_TARGET:-$folder/target} RUST_BACKTRACE=0
output=$folder/output

passes() {
    # Built first, and limited in processor time, so that a busy machine kills no mutant.
    (cd "$folder/copy" && cargo test --quiet --test simulated --no-run && ulimit -t 600 \
        && cargo test --quiet --test simulated everything::whatever_happens -- --nocapture \
        && cargo test --quiet --test simulated everything::the_seeds -- --nocapture) >"$output" 2>&1
}
if ! passes; then
    cat "$output" >&2
    echo "the tests fail without any mutant" >&2
    exit 1
fi
survived=0
for patch in "${patches[@]}"; do
    name=$(basename "$patch" .patch)
    if ! git -C "$folder/copy" apply "$PWD/$patch"; then
        echo "$name: the patch does not apply" >&2
        exit 1
    fi
    if passes; then
        echo "$name: SURVIVED"
        survived=$((survived + 1))
    elif grep -q 'could not compile' "$output"; then
        cat "$output" >&2
        echo "$name: does not compile" >&2
        exit 1
    else
        # The first check that went red, or what the server or the simulation itself asserts.
        red=$(grep -m 1 -o '^\[[^]]*\]' "$output" || true)
        assertion=$(grep -m 1 -o 'panicked at [a-z_/.]*\.rs:[0-9]*' "$output" || true)
        seed=$(grep -m 1 -o '^seed [0-9]*' "$output" || true)
        if [[ -z $red && -z $assertion && -z $seed ]]; then
            red="[5 Never stalls] not done within ten minutes of processor time"
        fi
        what=${red:-${assertion:+an assertion at ${assertion#panicked at }}}
        echo "$name: killed by $what ${seed:+($seed)}"
    fi
    git -C "$folder/copy" apply --reverse "$PWD/$patch"
done
echo "${#patches[@]} mutants, $survived survived"
((survived == 0))
