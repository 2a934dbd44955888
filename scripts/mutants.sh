#!/usr/bin/env bash
# Proves the tests: breaks the server in small ways, one at a time, and sees whether a test fails. A mutant that
# survives shows a missing test, or has its line in tests/README.md. Run by hand: a mutant takes up to a few minutes.
#
#     scripts/mutants.sh [COUNT]               # so many of cargo-mutants, drawn at random, 150 unless told otherwise
#     SEED=123 scripts/mutants.sh [COUNT]      # the same ones again
#     scripts/mutants.sh --only PATTERN        # those of cargo-mutants whose names `grep -E PATTERN` finds
#     scripts/mutants.sh --patches [NAME]...   # the patches of tests/mutants, or only these
#
# It needs cargo-mutants and cargo-nextest, which `cargo install --locked cargo-mutants cargo-nextest` installs. The
# patches do without.
#
# .cargo/mutants.toml says where cargo-mutants looks. The library's own tests go first, because they take seconds; the
# server tests and the simulated ones see only what those did not catch. Exit status 1 if fewer than 95 % of the mutants
# that compile are caught, or if a patch survives.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly caught_min=95

# Prints the number of lines of some files; those that do not exist have none.
lines_of() { { cat "$@" 2>/dev/null || true; } | wc -l; }

# Runs the mutants of cargo-mutants whose names stand in the input.
generated() {
    local report=target/mutants
    local out=$report/mutants.out
    rm -rf "$report"
    mkdir -p "$out"
    cat >"$report/chosen"
    [[ -s $report/chosen ]] || { echo "there is no such mutant" >&2; return 2; }
    # All others are passed over like those that an earlier run caught. The options of cargo-mutants that select by name
    # leave some kinds of mutants in.
    cargo mutants --list | grep -vxF -f "$report/chosen" >"$out/previously_caught.txt" || true
    # Each run begins without a mutant. If the tests fail there, they prove nothing, and this ends.
    local run=(cargo mutants --iterate --output "$report" --test-tool nextest)
    # An exit status of 2 or 3 tells that mutants survived or ran out of time, which is counted below.
    "${run[@]}" --timeout 120 -- --lib || (($? == 2 || $? == 3))
    local unviable tried survived
    unviable=$(lines_of "$out/unviable.txt")
    tried=$(lines_of "$out"/{caught,missed,timeout}.txt)
    if [[ -s $out/missed.txt ]]; then
        "${run[@]}" --timeout 600 -- --test server --test simulated || (($? == 2 || $? == 3))
    fi
    survived=$(lines_of "$out/missed.txt")
    cat "$out/missed.txt"
    echo "of $tried mutants that compile, $survived survived; $unviable more did not compile"
    ((100 * (tried - survived) >= caught_min * tried))
}

patches() {
    local patches=(tests/mutants/*.patch) patch
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
    git ls-files -z --cached --others --exclude-standard | tar --null --files-from - --create \
        | tar -x -m -C "$folder/copy"
    export CARGO_TARGET_DIR=${MUTANTS_TARGET:-$folder/target} RUST_BACKTRACE=0
    output=$folder/output
    if ! passes; then
        cat "$output" >&2
        echo "the tests fail without any mutant" >&2
        exit 1
    fi
    local survived=0 name red assertion seed what
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
            # The first check that failed, or what the server or the simulation itself asserts.
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
}

# Whether the simulation finds nothing wrong with the copy.
passes() {
    # Built first, and limited in processor time, so that a busy machine kills no mutant.
    (cd "$folder/copy" && cargo test --quiet --test simulated --no-run && ulimit -t 600 \
        && cargo test --quiet --test simulated everything::whatever_happens -- --nocapture \
        && cargo test --quiet --test simulated everything::the_seeds -- --nocapture) >"$output" 2>&1
}

case ${1:-} in
    --patches) patches "${@:2}" ;;
    --only) cargo mutants --list | grep -E -e "${2:?a pattern, please}" | generated ;;
    *)
        [[ ${1:-150} =~ ^[1-9][0-9]*$ ]] || { sed -n '5,8s/^#     //p' "$0" >&2; exit 2; }
        seed=${SEED:-$RANDOM}
        echo "drawn with SEED=$seed"
        cargo mutants --list | shuf --random-source=<(yes "$seed") --head-count="${1:-150}" | generated
        ;;
esac
