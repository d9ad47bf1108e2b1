#!/usr/bin/env bash
# The test command of the README.
. .ci/lib.sh

run cargo test --workspace --all-features

# Files that are damaged at random, by the hundred.
run env POINTSTREAM_TEST_DAMAGES=300 cargo test -p pointstream-store --test it damage

# Processes that are killed while they write, by the hundred.
run env POINTSTREAM_TEST_KILLS=300 cargo test -p pointstream-store --test it kill
