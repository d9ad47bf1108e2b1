#!/usr/bin/env bash
# The examples, each with a time limit, and what the gateway's command line promises.
. .ci/lib.sh

examples
gateway=$EXAMPLES/gateway
out=$CI_WORK/examples.out
err=$CI_WORK/examples.err

# Converts, one by one and in lines; a bad line does not end the rest.
convert=$EXAMPLES/convert
[ "$("$convert" '°C => °F' 100)" = 212°F ] || fail "100 °C are not 212 °F"
[ "$("$convert" '* 0.1' 215 --unit °C)" = 21.5°C ] || fail "--unit does not count"
[ "$("$convert" -10 17)" = 7 ] || fail "an expression may begin with a minus sign"
if "$convert" '/ 0' 1 2>"$err"; then fail "a division by zero was taken"; fi
grep -q 'column 3' "$err" || fail "no column is named"
cat >"$CI_WORK/lines.in" <<'END'
{"convert":"°F => °C","in":{"_kind":"number","val":32,"unit":"°F"}}
{"convert":"?: NA","in":null}
{"convert":"toStr()","in":null}
no JSON
{"convert":"* x","in":1}
{"convert":"+ 1","in":"a"}
{"convert":"enumStrToNumber(self,false)","in":"z","enum":"x, y, z"}
END
cat >"$CI_WORK/lines.want" <<'END'
{"out":{"_kind":"number","unit":"°C","val":0}}
{"out":{"_kind":"na"}}
{"out":"null"}
{"err":"expected ident at line 1 column 2"}
{"err":"column 3: expected a number, not \"x\""}
{"err":"+ 1.0 takes a Number, not a Str"}
{"out":2}
END
"$convert" --lines <"$CI_WORK/lines.in" >"$out"
run diff "$CI_WORK/lines.want" "$out"

run timeout --foreground 30 "$EXAMPLES/custom_driver" | tee "$out"
[ "$(grep -c table.die "$out")" -ge 1 ] || fail "custom_driver shows no die"

run timeout --foreground 10 "$gateway" --help | grep -q -- --print-config || fail "--help names no options"
run timeout --foreground 10 "$gateway" --version
timeout --foreground 10 "$gateway" --print-config >"$CI_WORK/gateway.toml"
run diff "$CI_WORK/gateway.toml" examples/gateway.toml
run timeout --foreground 10 "$gateway" --check
run timeout --foreground 10 "$gateway" --check --config examples/gateway.toml

# refused TEXT ARGUMENT...: it ends with a failure and one clear line that has TEXT in it.
refused() {
    local text=$1 code=0
    shift
    timeout --foreground 10 "$gateway" "$@" >"$out" 2>"$err" || code=$?
    cat "$err"
    [ "$code" -eq 1 ] || fail "gateway $* ended with $code"
    [ "$(grep -c '^gateway: ' "$err")" -eq 1 ] || fail "not one clear line"
    grep -qF -- "$text" "$err" || fail "it does not name $text"
    ! grep -qi -e panicked -e backtrace "$err" || fail "it panicked"
}

# IOTMP frames: all vectors, read and written; then two lines that are none.
run python3 - "$EXAMPLES/iotmp_inspect" <<'END'
import json, subprocess, sys

def inspect(lines, *options):
    return subprocess.run([sys.argv[1], *options], input="\n".join(lines) + "\n", text=True, capture_output=True, timeout=10)

def plain(value):
    if isinstance(value, dict):
        if "_float" in value:
            return {"NaN": "NaN"}.get(value["_float"], "Infinity")
        if "_unset" in value:
            return None
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value

with open("crates/pointstream-iotmp/tests/vectors/frames.json") as file:
    frames = json.load(file)["frames"]
shown = 0
for dialect in ("1", "2", "old"):
    mine = [frame for frame in frames if frame["dialect"] == dialect]
    for options in (["--dialect", dialect], []):
        done = inspect([frame["hex"] for frame in mine], "--json", *options)
        assert done.returncode == 0, done
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(found) == len(mine), (len(found), len(mine))
        for frame, seen in zip(mine, found):
            size = len(frame["hex"]) // 2
            # A frame of numbers alone does not say its dialect, and is taken for the newest.
            if not options and seen["dialect"] != dialect:
                assert seen["dialect"] == "2" and size < 12, (frame, seen)
                continue
            assert seen == {"dialect": dialect, "size": size, **plain(frame["message"])}, (frame, seen)
            shown += 1
        if options:
            hexes = inspect([json.dumps(line) for line in found], "--encode").stdout.split()
            again = inspect(hexes, "--json", *options).stdout.splitlines()
            assert [json.loads(line) for line in again] == found, dialect
done = inspect(["0500 01020801", "0500 0b00 0500", "01", "05000"], "--json")
lines = [json.loads(line) for line in done.stdout.splitlines()]
assert done.returncode == 1 and [line.get("offset") for line in lines] == [None, None, None, 2, 1, None, 2], lines
print(shown, "frames shown as they are")
END

# An IOTMP server and a device, which is read, written and followed over HTTP.
"$EXAMPLES/iotmp_server" --listen 127.0.0.1:0 --http 127.0.0.1:0 >"$CI_WORK/iotmp_server" &
server=$!
for _ in $(seq 100); do grep -q listening "$CI_WORK/iotmp_server" && break || sleep 0.1; done
address() { sed -n "1s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$CI_WORK/iotmp_server"; }
"$EXAMPLES/iotmp_device" --server "$(address iotmp)" >"$CI_WORK/iotmp_device" &
device=$!
for _ in $(seq 100); do grep -q connected "$CI_WORK/iotmp_server" && break || sleep 0.1; done
run python3 - "http://$(address http)/v3/users/user/devices/device/resources" <<'END'
import json, sys, urllib.request

def call(path, body=None, **headers):
    request = urllib.request.Request(sys.argv[1] + path, body and json.dumps(body).encode(), headers)
    return urllib.request.urlopen(request, timeout=10)

assert 20 < json.load(call("/temperature"))["celsius"] < 24
assert json.load(call("/double", 21)) == 42
call("/led", True)
with call("/temperature?interval=1", Accept="text/event-stream") as stream:
    values = []
    while len(values) < 2:
        line = stream.readline()
        if line.startswith(b"data: "):
            values.append(json.loads(line[6:])["celsius"])
    print("a device read, written and followed:", values)
END
kill -INT $device && wait $device || fail "iotmp_device ended with $?"
kill -INT $server && wait $server || fail "iotmp_server ended with $?"
grep -q '"led":true' "$CI_WORK/iotmp_device" || fail "the device was not written"
cat "$CI_WORK/iotmp_server"

bad=$CI_WORK/bad.toml
sed 's/^poll_time = "1s"/poll_tim = "1s"/' examples/gateway.toml >"$bad"
refused "$bad:$(grep -n '^poll_tim ' "$bad" | cut -d: -f1)" --check --config "$bad"
sed '0,/input:30001/s//imput:30001/' examples/gateway.toml >"$bad"
refused "point ahu.outdoorTemp: unknown table" --check --config "$bad"
refused absent.toml --config "$CI_WORK/absent.toml"
refused --frobnicate --frobnicate

# The file of a store without a gateway: none, one that is no store, and what is made of that.
store=$CI_WORK/plant.redb
rm -f "$store"*
refused plant.redb --check-store "$store"
printf 'no store at all' >"$store"
refused damaged --check-store "$store"
run timeout --foreground 10 "$gateway" --repair-store "$store" | tee "$out"
grep -qF "$store.damaged-1 now" "$out" || fail "it does not say where the damaged file is"
run timeout --foreground 10 "$gateway" --check-store "$store"

# The main job, as the README starts it. Where its port is taken, it takes another.
args=()
if (exec 3<>/dev/tcp/127.0.0.1/8080) 2>/dev/null; then
    args=(--listen 127.0.0.1:0)
    echo "port 8080 is taken: ${args[*]}"
fi
run .ci/gateway start "$CI_WORK/gateway" "$gateway" "${args[@]}"
cat "$CI_WORK/gateway/out"
url=$(cat "$CI_WORK/gateway/url")
run timeout --foreground 30 "$EXAMPLES/minimal" | tee "$out"
grep -q meter.power "$out" || fail "minimal shows no power"
python3 - "$url" <<'END'
import sys, urllib.request

for path in ("healthz", "metrics", "v1/points", "v1/connectors", "v1/topics", "v1/topics/plant/snapshot", ""):
    with urllib.request.urlopen(sys.argv[1] + path, timeout=10) as answer:
        print(answer.status, len(answer.read()), "bytes of", "/" + path)
with urllib.request.urlopen(sys.argv[1] + "v1/topics/plant", timeout=10) as stream:
    seen = []
    while "event: patch" not in seen:
        line = stream.readline().decode().rstrip("\n")
        if line.startswith("event:"):
            seen.append(line)
    assert seen[0] == "event: data", seen
    print("a snapshot, then a patch")
END
refused "${url:7:-1}" --listen "${url:7:-1}"
run .ci/gateway stop "$CI_WORK/gateway"

# The hub prints what to try, and what it prints works: the example of the original, byte for byte.
run timeout --foreground 10 "$EXAMPLES/hub" --help | grep -q -- --topic || fail "hub --help names no options"
code=0
timeout --foreground 10 "$EXAMPLES/hub" --listen 0.0.0.0:0 2>"$err" || code=$?
cat "$err"
[ "$code" -eq 1 ] && grep -q "not a loopback address" "$err" || fail "hub listens for strangers"
# What one hub lists is what another one polls.
"$EXAMPLES/hub" --listen 127.0.0.1:0 --topic source >"$CI_WORK/source.out" 2>&1 &
source=$!
for _ in $(seq 100); do grep -q "^curl.*source" "$CI_WORK/source.out" && break || sleep 0.1; done
polled=$(sed -n 's/^The hub listens on \(http:[^ ]*\) .*/\1/p' "$CI_WORK/source.out")
"$EXAMPLES/hub" --listen 127.0.0.1:0 --topic demo --topic quotes:item:.Symbol:merge \
    --poll "polled=${polled}v1/topics,500" >"$out" 2>"$err" &
hub=$!
for _ in $(seq 100); do grep -q "^curl.*quotes" "$out" && break || sleep 0.1; done
cat "$out"
python3 - "$out" <<'END'
import json, re, subprocess, sys

text = open(sys.argv[1]).read()
subscribes = re.findall(r'^curl -N .*$', text, re.M)
publishes = re.findall(r"^curl -v .*?'$", text, re.M | re.S)
assert len(subscribes) == 3 and len(publishes) == 4, text
polled = subscribes.pop(0)
assert "/polled" in polled, polled


def publish(command):
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=10)
    assert "< HTTP/1.1 204" in done.stderr, done.stderr


def events(stream, count):
    found, event = [], {}
    while len(found) < count:
        line = stream.readline().rstrip("\n")
        if line == "" and "data" in event:
            found.append((event["event"], event["data"]))
            event = {}
        elif not line.startswith(":"):
            key, _, value = line.partition(": ")
            event[key] = value
    return found


for at, subscribe in enumerate(subscribes):
    first, second = publishes[2 * at : 2 * at + 2]
    publish(first)
    stream = subprocess.Popen(["sh", "-c", "exec " + subscribe], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    document = events(stream.stdout, 1)
    publish(second)
    patch = events(stream.stdout, 1)
    stream.terminate()
    print(document, patch)
    assert document[0][0] == "data" and patch[0][0] == "patch"
    operations = json.loads(patch[0][1])
    prefix = ["/pairs", ""][at]
    paths = [f"{prefix}/{row}/{name}" for row in (0, 1) for name in ("Bid", "Mid", "Ask")]
    values = ["0.74710", "0.74712", "0.74716", "0.74708", "0.74714", "0.74718"]
    expected = ",".join(f'{{"op":"replace","path":"{path}","value":{value}}}' for path, value in zip(paths, values))
    assert patch[0][1] == f"[{expected}]", patch
stream = subprocess.Popen(["sh", "-c", "exec " + polled], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
kind, topics = events(stream.stdout, 1)[0]
stream.terminate()
assert kind == "data" and json.loads(topics)[0]["id"] == "source", topics
print("the curl lines of the hub work")
END
kill -INT $hub $source
wait $hub || fail "hub: Ctrl-C: it ended with $?"
wait $source || fail "hub: Ctrl-C: it ended with $?"

# Collects, reads back and draws.
run timeout --foreground 10 "$EXAMPLES/history" --help | grep -q -- --seconds || fail "--help names no options"
if "$EXAMPLES/history" --what >"$out" 2>&1; then fail "history took --what"; fi
"$EXAMPLES/history" --seconds 3 --out "$CI_WORK/history.svg" >"$out" 2>"$err" || { cat "$err"; fail "history ended with $?"; }
grep -q '^meter.power: [1-9][0-9]* values' "$out" || { cat "$out"; fail "history collected nothing"; }
grep -q 'L[0-9.]* [0-9.]*L' "$CI_WORK/history.svg" || fail "history drew nothing"
"$EXAMPLES/history" --seconds 600 --out "$CI_WORK/early.svg" >"$out" 2>"$err" &
pid=$!
for _ in $(seq 100); do grep -q ^Collecting "$out" && break || sleep 0.1; done
sleep 2
kill -INT $pid
wait $pid || { cat "$err"; fail "history: Ctrl-C: it ended with $?"; }
grep -q 'shows it' "$out" || fail "history drew nothing when it was ended early"

# Ctrl-C ends it with 0 within 2 seconds.
"$gateway" --listen 127.0.0.1:0 >"$out" 2>"$err" &
pid=$!
for _ in $(seq 100); do grep -q ^Console "$out" && break || sleep 0.1; done
start=$(date +%s%N)
kill -INT $pid
wait $pid || fail "Ctrl-C: it ended with $?"
took=$((($(date +%s%N) - start) / 1000000))
echo "Ctrl-C: ended with 0 after $took ms"
[ "$took" -le 2000 ] || fail "that is more than 2 s"
