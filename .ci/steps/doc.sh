#!/usr/bin/env bash
# The documentation, warnings being errors.
. .ci/lib.sh

export RUSTDOCFLAGS=-Dwarnings
run cargo doc --locked --workspace --all-features --no-deps
