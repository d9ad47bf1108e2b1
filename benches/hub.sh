#!/usr/bin/env bash
# What does a subscriber cost, beside nchan?
#
#     benches/hub.sh [ROUNDS] [OUT]
#
# Builds the hub example and the load generator, and runs both against the hub and against nginx with
# nchan: the server on one processor, the generator on another, one server after the other in each
# round, so that what else the machine does meets both. Writes the medians as a page. Needs root, two
# processors, python3, valgrind and Debian's nginx with libnginx-mod-nchan.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROUNDS=${1:-3}
OUT=${2:-docs/hub-benchmarks.md}
TARGET=${CARGO_TARGET_DIR:-target}
WORK=$(mktemp -d)
chmod 755 "$WORK"
started=()
trap 'for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$WORK"' EXIT
command -v valgrind >/dev/null && [ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] ||
    { echo "hub.sh: valgrind, nginx and libnginx-mod-nchan are needed" >&2; exit 1; }
cargo build -q --release -p pointstream-examples --example hub
cargo build -q --release -p pointstream-benches --bin subscribers --bin bare
ulimit -n "$(ulimit -Hn)"
HUB=127.0.0.1:21080 NCHAN=127.0.0.1:21090 BARE=127.0.0.1:21070

start_hub() {
    taskset -c 0 "$TARGET/release/examples/hub" --listen $HUB --topic bench >"$WORK/hub.log" 2>&1 &
    server=$!
    started+=("$server")
    until curl -fs "http://$HUB/healthz" >/dev/null; do sleep 0.1; done
}

start_nchan() {
    sed "s,@WORK@,$WORK,; s,@PORT@,${NCHAN#*:}," benches/nginx-nchan.conf >"$WORK/nginx.conf"
    taskset -c 0 nginx -c "$WORK/nginx.conf" >"$WORK/nginx.log" 2>&1 &
    local master=$!
    started+=("$master")
    until curl -s "http://$NCHAN/" >/dev/null; do sleep 0.1; done
    server=$(ps -o pid= --ppid "$master" | tr -d ' ')
}

# What sends and does nothing else, to know the system's share.
start_bare() {
    taskset -c 0 "$TARGET/release/bare" $BARE >"$WORK/bare.log" 2>&1 &
    server=$!
    started+=("$server")
    until grep -q listens "$WORK/bare.log"; do sleep 0.1; done
}

stop() {
    local last=$((${#started[@]} - 1))
    kill "${started[$last]}"
    wait "${started[$last]}" 2>/dev/null || true
    unset "started[$last]"
}

load() { # NAME WHAT...: measures the server that runs and notes the line
    local name=$1
    shift
    case $name in
        hub) set -- --server $HUB --subscribe /v1/topics/bench \
            --publish /publish/v1/topics/bench "$@" ;;
        bare) set -- --server $BARE --subscribe / --publish / "$@" ;;
        nchan) set -- --server $NCHAN --subscribe /subscribe --publish /publish \
            --header 'Accept: text/event-stream' "$@" ;;
    esac
    printf '%s\t%s\t' "$name" "${*:7}" | sed 's/--header [^\t]*event-stream //' >>"$WORK/lines"
    taskset -c 1 "$TARGET/release/subscribers" --pid "$server" "$@" >>"$WORK/lines"
    tail -1 "$WORK/lines"
}

for round in $(seq "$ROUNDS"); do
    echo "round $round: $(uptime)"
    # A process of its own for each measurement of memory.
    for what in "idle 5000" "stalled 50"; do
        for name in hub nchan; do
            start_$name
            load $name $what
            stop
        done
    done
    for what in "lockstep 100 8" "lockstep 1000 8" "paced 1000 20 8"; do
        for name in hub nchan bare; do
            start_$name
            load $name $what
            stop
        done
    done
    start_hub
    load hub wire
    stop
done

instructions() { # COUNT
    valgrind --tool=callgrind --callgrind-out-file=/dev/null '--toggle-collect=*Topic*publish_with*' \
        "$TARGET/release/subscribers" once "$1" 2>&1 | sed -n 's/.*Collected : //p'
}
printf 'once\t1\t%s\n' "$(instructions 1)" >>"$WORK/lines"
printf 'once\t1000\t%s\n' "$(instructions 1000)" >>"$WORK/lines"

python3 benches/hub.py "$WORK/lines" "$ROUNDS" >"$OUT"
cat "$OUT"
