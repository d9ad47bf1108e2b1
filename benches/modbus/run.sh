#!/usr/bin/env bash
# What does Modbus cost, beside tokio-modbus and libmodbus?
#
#     benches/modbus/run.sh [ROUNDS]
#
# All clients read one register per request on one connection from one server, which is a process of
# its own; turn by turn, ROUNDS times (3), so that other work on the machine falls on all of them. Prints
# the median of each and the ratios; then points polled in blocks, a bus asked for twenty times what it
# can do, and the memory of a thousand connections. Needs libmodbus-dev, a C compiler, python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
ROUNDS=${1:-3}
PORT=21100
WORK=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$WORK"' EXIT
cargo build -q --release --locked
BENCH=${CARGO_TARGET_DIR:-target}/release/pointstream-modbus-bench
cc -O2 -o "$WORK/libmodbus" libmodbus.c $(pkg-config --cflags --libs libmodbus) -I/usr/include
"$BENCH" serve $PORT &
"$BENCH" slow $((PORT + 1)) &
sleep 1
for _ in $(seq "$ROUNDS"); do
    echo "ours $("$BENCH" ours $PORT)"
    echo "tokio-modbus $("$BENCH" tokio $PORT)"
    echo "libmodbus $("$WORK/libmodbus" $PORT)"
    echo "window-16 $("$BENCH" window $PORT 16)"
    echo "blocks $("$BENCH" blocks $PORT)"
done | tee "$WORK/results"
python3 - "$WORK/results" <<'PY'
import statistics, sys
runs = {}
for line in open(sys.argv[1]):
    name, per_second, _, per_cpu, _ = line.split()
    runs.setdefault(name, []).append((float(per_second), float(per_cpu)))
median = {name: [statistics.median(column) for column in zip(*of)] for name, of in runs.items()}
for name, (per_second, per_cpu) in median.items():
    print(f"{name:13} {per_second:9.0f}/s {per_cpu:10.0f} per processor second")
ours = median["ours"]
for name in ("tokio-modbus", "libmodbus"):
    print(f"ours / {name}: {ours[0] / median[name][0]:.2f} in time, {ours[1] / median[name][1]:.2f} per processor second")
print(f"window-16 / ours: {median['window-16'][0] / ours[0]:.2f}, "
      f"/ best peer: {median['window-16'][0] / max(median['tokio-modbus'][0], median['libmodbus'][0]):.2f}")
PY
"$BENCH" overload $((PORT + 1))
"$BENCH" idle $PORT 1000
