#!/usr/bin/env bash
# What does a gateway cost at ten thousand and at a hundred thousand registers a second?
#
#     benches/gateway.sh
#
# Builds the gateway example and the farm of simulated devices, reads 10 devices of 100 registers each
# 100 ms in blocks, the same a register per request, and 100 devices in blocks; then 100 devices of 1,000
# registers each second, of which a tenth has changed, with a topic per device and 10 subscribers on every
# topic, the points in a CSV file for each device. Prints for each what was read, in how many requests, with how much of one processor and of memory.
# The devices and the subscribers run beside it on the same machine and are not counted. Needs curl and
# python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PORT=21000
TARGET=${CARGO_TARGET_DIR:-target}
WORK=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$WORK"' EXIT
cargo build -q --release -p pointstream-examples --example gateway
cargo build -q --release -p pointstream-benches --bin farm --bin audience
ulimit -n "$(ulimit -Hn)"

config() { # DEVICES BLOCK_MAX [REGISTERS POLL_TIME TOPIC_PER_DEVICE]
    printf '[tuning.default]\npoll_time = "%s"\n' "${4:-100ms}"
    for d in $(seq 0 $(($1 - 1))); do
        printf '[[connector]]\nid = "d%d"\nkind = "modbus"\nuri = "modbus-tcp://127.0.0.1:%d"\nunit = 1\nblock_max = %d\n' \
            "$d" $((PORT + d)) "$2"
        if [ "${5:-0}" -gt 0 ]; then # as sites of that size have them: in a file a device
            printf 'points = "d%d.csv"\n' "$d"
            { echo id,kind,cur; seq 0 $((${3:-100} - 1)) | sed "s/.*/d$d.r&,Number,holding:#&:u2/"; } >"$WORK/d$d.csv"
            continue
        fi
        for r in $(seq 0 $((${3:-100} - 1))); do
            printf '[[connector.point]]\nid = "d%d.r%d"\nkind = "Number"\ncur = "holding:#%d:u2"\n' "$d" "$r" "$r"
        done
    done
    for d in $(seq 0 $((${5:-0} - 1))); do
        printf '[[topic]]\nid = "d%d"\nfilter = "connector == \\"d%d\\""\n' "$d" "$d"
    done
}

total() { # the sum of a counter over all connectors
    curl -s "http://$ADDR/metrics" | awk -v name="pointstream_connector_$1_total" '$1 ~ "^"name"{" {s += $2} END {print s + 0}'
}

measure() { # NAME DEVICES BLOCK_MAX [REGISTERS POLL_TIME CHANGING PERIOD_MS SUBSCRIBERS]
    local subscribers=
    config "$2" "$3" "${4:-100}" "${5:-100ms}" "${8:+$2}" >"$WORK/gateway.toml"
    "$TARGET/release/farm" "$2" $PORT ${4:+"$4" "$6" "$7"} &
    local farm=$!
    "$TARGET/release/examples/gateway" --config "$WORK/gateway.toml" --listen 127.0.0.1:0 >"$WORK/out" 2>"$WORK/log" &
    local gateway=$! before after
    until ADDR=$(sed -n 's,^Console  http://\(.*\)/$,\1,p' "$WORK/out") && [ -n "$ADDR" ]; do sleep 0.1; done
    if [ -n "${8:-}" ]; then
        "$TARGET/release/audience" "$ADDR" "$8" $(seq -f 'd%g' 0 $(($2 - 1))) &
        subscribers=$!
    fi
    sleep 5
    before="$(total readings) $(total requests) $(awk '{print $14 + $15}' /proc/$gateway/stat) $(date +%s.%N)"
    sleep 10
    after="$(total readings) $(total requests) $(awk '{print $14 + $15}' /proc/$gateway/stat) $(date +%s.%N)"
    python3 - "$1" "$before" "$after" "$(awk '/VmRSS/ {print $2}' /proc/$gateway/status)" "$(total poll_skipped)" <<'PY'
import os, sys
name, before, after, rss, skipped = sys.argv[1:]
a, b = ([float(x) for x in text.split()] for text in (before, after))
seconds, cpu = b[3] - a[3], (b[2] - a[2]) / os.sysconf("SC_CLK_TCK")
print(f"{name}: {(b[0] - a[0]) / seconds:.0f} registers/s in {(b[1] - a[1]) / seconds:.0f} requests/s, "
      f"{100 * cpu / seconds:.1f} % of a processor, {int(rss) / 1024:.1f} MB, {int(skipped)} polls skipped")
PY
    [ -z "$subscribers" ] || { kill $subscribers && wait $subscribers 2>/dev/null || true; }
    kill -INT $gateway && wait $gateway || true
    kill $farm && wait $farm 2>/dev/null || true
}

measure "10 devices, blocks of 100" 10 100
measure "10 devices, a register per request" 10 1
measure "100 devices, blocks of 100" 100 100
measure "100 devices of 1,000 registers each second, 10 % changing, 10 subscribers" 100 125 1000 1s 100 1000 10
