#!/usr/bin/env bash
# What the hub tells of itself against what its clients count; its memory with a thousand stalled ones.
. .ci/lib.sh

need curl curl
examples
run cargo build --release --locked -p pointstream-benches --bin subscribers
subscribers=${CARGO_TARGET_DIR:-target}/release/subscribers
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$EXAMPLES/hub" --listen "127.0.0.1:$port" --topic bench >"$CI_WORK/hub.out" 2>"$CI_WORK/hub.log" &
pid=$!
for _ in $(seq 100); do curl -sf "http://127.0.0.1:$port/healthz" >/dev/null && break || sleep 0.1; done
load() {
    run timeout --foreground 300 "$subscribers" --pid "$pid" --server "127.0.0.1:$port" \
        --subscribe /v1/topics/bench --publish /publish/v1/topics/bench "$@"
}
ulimit -n "$(ulimit -Hn)"
load agree 200 150
# A hundred megabytes are published; what the hub gains by the stalled ones is far below that.
load stalled 1000 5000 | tee "$CI_WORK/stalled"
python3 - "$CI_WORK/stalled" <<'END'
import json, sys
told = json.loads(open(sys.argv[1]).read().splitlines()[-1])
assert told["grown_bytes"] < 20_000_000, told
END
kill -INT "$pid"
wait "$pid" || fail "the hub ended with $?"
