#!/usr/bin/env bash
# The lints, warnings being errors.
. .ci/lib.sh

run cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
