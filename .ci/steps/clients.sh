#!/usr/bin/env bash
# Clients of the hub: the vendor's SDK, EventSource in Node and Chromium, httpx-sse, curl, nginx between.
. .ci/lib.sh

need curl curl
need nginx nginx-light
[ -n "${CHROMIUM:-}" ] || need chromium chromium
export CHROMIUM=${CHROMIUM:-$(command -v chromium)}
python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
venv=$CI_WORK/venv-hub
run python3 -m venv "$venv"
run retry "$venv/bin/pip" install --quiet --disable-pip-version-check 'httpx>=0.28,<1' 'httpx-sse>=0.4,<1' 'jsonpatch>=1.33,<2'
(cd .ci/clients && run retry npm ci --ignore-scripts --no-audit --no-fund)
(cd .ci/browser && run retry npm ci --no-audit --no-fund)
examples

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free_port)
source=http://127.0.0.1:$(free_port)/v2/prices?a=1
hub=http://127.0.0.1:$port
"$EXAMPLES/hub" --listen "127.0.0.1:$port" --topic demo --topic items:item:.Symbol --poll "source=$source,500" \
    >"$CI_WORK/hub.out" 2>"$CI_WORK/hub.log" &
pid=$!
for _ in $(seq 100); do curl -sf "$hub/healthz" >/dev/null && break || sleep 0.1; done
code=0
run timeout --foreground 120 node .ci/clients/sdk.mjs "$hub" "$source" || code=1
run timeout --foreground 120 node .ci/clients/eventsource.mjs "$hub" || code=1
run timeout --foreground 120 node .ci/browser/eventsource.mjs "$hub" || code=1
mkdir -p "$CI_WORK/nginx"
chmod 755 "$CI_WORK" "$CI_WORK/nginx"
run timeout --foreground 180 "$venv/bin/python" .ci/interop/hub.py "$hub" "$(free_port)" "$CI_WORK/nginx" || code=1
kill -INT "$pid"
wait "$pid" || fail "the hub ended with $?"
[ "$code" -eq 0 ] || { tail -n 40 "$CI_WORK/hub.log"; fail "a client fails"; }
