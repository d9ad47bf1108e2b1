#!/usr/bin/env bash
# The numbers of IOTMP: the codec beside serde_json, minicbor and rmp-serde, the session, the server over
# loopback, and what idle devices take. Prints a table. `run.sh 15000` says how many devices.
set -euo pipefail
cd "$(dirname "$0")"
ulimit -n "$(ulimit -Hn)"
cargo build --release --locked
target=${CARGO_TARGET_DIR:-target}/release/pointstream-iotmp-bench
"$target" "${1:-15000}"
# How large the codec, the session and the multiplexer are without tokio and std, for size: on the host, and on a
# microcontroller's target where that is installed.
cd ../../crates/pointstream-iotmp
folder=${CARGO_TARGET_DIR:-../../target}/iotmp-size
text_of() {
    local target=$1
    shift
    cargo rustc --lib --release --config 'profile.release.opt-level="z"' --config 'profile.release.lto=false' \
        --target-dir "$folder" --quiet "$@"
    size -t "$folder/${target:+$target/}release/libpointstream_iotmp.rlib" 2>/dev/null |
        tail -n 1 | awk -v on="${target:-the host}" '{ print "| `.text` at opt-level z on " on ", everything public | " $1 " bytes |" }'
}
text_of ""
microcontroller=thumbv7em-none-eabi
if [ -d "$(rustc --print sysroot)/lib/rustlib/$microcontroller" ]; then
    text_of "$microcontroller" --target "$microcontroller"
fi
