#!/usr/bin/env bash
# The test command of the README.
. .ci/lib.sh

run cargo test --workspace --all-features

# Processes that are killed while they write, by the hundred.
run env POINTSTREAM_TEST_KILLS=300 cargo test -p pointstream-store --test it kill
