#!/bin/sh
# How long the patches of others are: makes patches of the pairs that
# `cargo run --release -p pointstream-benches -- patches --all FOLDER` wrote, with five differs from npm
# and one from PyPI, each in a process of its own with a limit in time, and writes a line
# `workload,peer,bytes` for each that came to an end.
#
#     benches/peers/peers.sh FOLDER OUT.csv
set -eu
here=$(cd "$(dirname "$0")" && pwd)
pairs=$(cd "$1" && pwd)
out=$2
seconds=${PEER_SECONDS:-14}
tools=${PEER_TOOLS:-$(mktemp -d)}
[ -d "$tools/node_modules/jsondiffpatch" ] || npm install --silent --no-audit --no-fund \
    --prefix "$tools" fast-json-patch@3.1.1 rfc6902@5 json-joy@17.67.0 generate-json-patch@1.2.9 \
    jsondiffpatch@0.7
[ -x "$tools/venv/bin/python" ] || python3 -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet --disable-pip-version-check jsonpatch==1.47
cp "$here/peers.mjs" "$tools/peers.mjs"
: >"$out"
for old in "$pairs"/*.old.json; do
    stem=${old%.old.json}
    workload=$(basename "$stem")
    for peer in fast-json-patch rfc6902 json-joy generate-json-patch jsondiffpatch; do
        bytes=$(timeout "$seconds" node --stack-size=4000 "$tools/peers.mjs" "$peer" "$stem" 2>/dev/null) ||
            continue
        echo "$workload,$peer,$bytes" >>"$out"
    done
    bytes=$(timeout "$seconds" "$tools/venv/bin/python" "$here/peers.py" "$stem" 2>/dev/null) || continue
    echo "$workload,jsonpatch.py,$bytes" >>"$out"
done
