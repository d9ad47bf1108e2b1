#!/usr/bin/env bash
# The numbers of IOTMP: the codec beside serde_json, minicbor and rmp-serde, the session, the server over
# loopback, and what idle devices take. Prints a table. `run.sh 15000` says how many devices.
set -euo pipefail
cd "$(dirname "$0")"
ulimit -n "$(ulimit -Hn)"
cargo build --release --locked
target=${CARGO_TARGET_DIR:-target}/release/pointstream-iotmp-bench
"$target" "${1:-15000}"
# How large the codec, the session and the multiplexer are without tokio and std, for size.
cd ../../crates/pointstream-iotmp
cargo rustc --lib --release --config 'profile.release.opt-level="z"' --config 'profile.release.lto=false' \
    --target-dir "${CARGO_TARGET_DIR:-../../target}/iotmp-size" --quiet
size -t "${CARGO_TARGET_DIR:-../../target}/iotmp-size/release/libpointstream_iotmp.rlib" 2>/dev/null |
    tail -n 1 | awk '{ print "| `.text` at opt-level z, everything public | " $1 " bytes |" }'
