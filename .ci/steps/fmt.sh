#!/usr/bin/env bash
# The form of the sources: rustfmt, in the workspace and in fuzz.
. .ci/lib.sh

run cargo fmt --all --check
run cargo fmt --manifest-path fuzz/Cargo.toml --check
