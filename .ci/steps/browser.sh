#!/usr/bin/env bash
# The console page in a headless Chromium, and its patch module in Node.
. .ci/lib.sh

[ -n "${CHROMIUM:-}" ] || need chromium chromium
export CHROMIUM=${CHROMIUM:-$(command -v chromium)}
(cd .ci/browser && run retry npm ci --no-audit --no-fund && run node --test)
examples

# With a store, so that there are past values to draw, and a point file to add points to.
mkdir -p "$CI_WORK/console"
"$EXAMPLES/gateway" --print-config | sed 's/^# store = /store = /; s/^# points = /points = /' >"$CI_WORK/console/plant.toml"
printf 'id,dis,kind,unit,cur\n' >"$CI_WORK/console/ahu.csv"
run .ci/gateway start "$CI_WORK/console" "$EXAMPLES/gateway" --config "$CI_WORK/console/plant.toml" --listen 127.0.0.1:0
code=0
run timeout --foreground 600 node .ci/browser/console.mjs "$(cat "$CI_WORK/console/url")" "$CI_ARTEFACTS" \
    --add-points --restart-cmd ".ci/gateway restart '$CI_WORK/console'" || code=$?
[ "$code" -eq 0 ] || { tail -n 40 "$CI_WORK/console/log"; fail "the console fails ($code)"; }
run .ci/gateway stop "$CI_WORK/console"

# A year of one-minute values, fetched, panned and zoomed.
mkdir -p "$CI_WORK/logger"
run .ci/gateway start "$CI_WORK/logger" "$EXAMPLES/logger" 127.0.0.1:0
code=0
run timeout --foreground 600 node .ci/browser/history.mjs "$(cat "$CI_WORK/logger/url")" "$CI_ARTEFACTS" || code=$?
[ "$code" -eq 0 ] || { tail -n 40 "$CI_WORK/logger/log"; fail "the charts fail ($code)"; }
run .ci/gateway stop "$CI_WORK/logger"
