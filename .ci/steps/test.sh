#!/usr/bin/env bash
# The test command of the README.
. .ci/lib.sh

run cargo test --workspace --all-features
