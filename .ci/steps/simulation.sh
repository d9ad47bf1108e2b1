#!/usr/bin/env bash
# A virtual hour of 1,000 connectors with 100,000 points in trouble, in less than a minute of real time.
. .ci/lib.sh

run cargo build --release --locked -p pointstream-benches --bin points
# Another seed each day; one that fails is named, and fails again.
seed=$(date +%Y%m%d)
run timeout --foreground 60 "${CARGO_TARGET_DIR:-target}/release/points" simulate "$seed"
