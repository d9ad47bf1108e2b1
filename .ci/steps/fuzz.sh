#!/usr/bin/env bash
# The fuzz targets: their seeds, then each for FUZZ_SECONDS (30), two at a time.
. .ci/lib.sh

cd fuzz
seconds=${FUZZ_SECONDS:-30}
mapfile -t targets < <(ls seeds)
run cargo test --locked
# The programs for libFuzzer compile everywhere; they are linked only where it can be built.
CUSTOM_LIBFUZZER_PATH=$CI_WORK/libnothing.a run cargo check --locked --features libfuzzer --bins

# Coverage finds more; without a nightly compiler and cargo-fuzz the seeds are mutated blindly.
if cargo +nightly fuzz --version 2>/dev/null; then
    run cargo +nightly fuzz build -O --features libfuzzer
    fuzz() {
        mkdir -p "$CI_WORK/corpus/$1"
        cargo +nightly fuzz run -O --features libfuzzer "$1" "$CI_WORK/corpus/$1" "seeds/$1" -- \
            -max_total_time="$seconds" -max_len=4096 -artifact_prefix="$CI_ARTEFACTS/$1-" \
            >"$CI_WORK/fuzz-$1" 2>&1
    }
else
    run cargo build --locked --release --bin stable
    # The same inputs on every run: what is checked here is the change, not the luck of the day.
    # FUZZ_SEED explores.
    fuzz() {
        "${CARGO_TARGET_DIR:-target}/release/stable" --seconds "$seconds" --seed "${FUZZ_SEED:-1}" \
            --artifacts "$CI_ARTEFACTS" "$1" >"$CI_WORK/fuzz-$1" 2>&1
    }
fi

# one TARGET: runs it and shows how it ended, in one piece.
one() {
    local code=0
    fuzz "$1" || code=$?
    if [ "$code" -eq 0 ]; then
        grep -E 'executions|^Done|cov:' "$CI_WORK/fuzz-$1" | tail -n 1 | sed "s/^/$1: /; s/^$1: $1:/$1:/"
    else
        tail -n 60 "$CI_WORK/fuzz-$1" | cut -c 1-2000
        echo "$1: FAILED with $code"
    fi
    return "$code"
}

echo "+ ${#targets[@]} targets, $seconds s each"
failed=0
for ((at = 0; at < ${#targets[@]}; at += 2)); do
    pids=()
    for target in "${targets[@]:at:2}"; do
        one "$target" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
done
exit "$failed"
