#!/usr/bin/env bash
# The OpenAPI document, and whether every operation answers as it says.
. .ci/lib.sh

need curl curl
python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
venv=$CI_WORK/venv-api
run python3 -m venv "$venv"
run retry "$venv/bin/pip" install --quiet --disable-pip-version-check 'jsonschema>=4.20,<5' 'openapi-spec-validator>=0.7,<1'
examples

mkdir -p "$CI_WORK"/api-{plant,logger,hub}
"$EXAMPLES/gateway" --print-config | sed 's/^# store = /store = /; s/^# points = /points = /' >"$CI_WORK/api-plant/plant.toml"
printf 'id,dis,kind,unit,cur\n' >"$CI_WORK/api-plant/ahu.csv"
run .ci/gateway start "$CI_WORK/api-plant" "$EXAMPLES/gateway" --config "$CI_WORK/api-plant/plant.toml" --listen 127.0.0.1:0
run .ci/gateway start "$CI_WORK/api-logger" "$EXAMPLES/logger" 127.0.0.1:0
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$EXAMPLES/hub" --listen "127.0.0.1:$port" --topic demo --topic items:item:.Symbol >"$CI_WORK/api-hub/out" 2>"$CI_WORK/api-hub/log" &
pid=$!
for _ in $(seq 100); do curl -sf "http://127.0.0.1:$port/healthz" >/dev/null && break || sleep 0.1; done
code=0
run timeout --foreground 300 "$venv/bin/python" .ci/interop/openapi.py "$(cat "$CI_WORK/api-plant/url")" \
    "$(cat "$CI_WORK/api-logger/url")" "http://127.0.0.1:$port" || code=1
kill -INT "$pid"
wait "$pid" || fail "the hub ended with $?"
[ "$code" -eq 0 ] || { tail -n 40 "$CI_WORK"/api-*/log; fail "the API is not what it says"; }
run .ci/gateway stop "$CI_WORK/api-plant"
run .ci/gateway stop "$CI_WORK/api-logger"
