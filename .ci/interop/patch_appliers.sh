#!/bin/sh
# Patches of pointstream-patch applied by three appliers that others wrote: crate json-patch while they are
# written, fast-json-patch in JavaScript, jsonpatch in Python. Installs the latter into a temporary folder.
# Needs cargo, npm with node, and python3 with venv.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
cargo run --quiet --release -p pointstream-benches -- patches "$work/pairs"

cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" fast-json-patch@3.1.1
cat > apply.cjs <<'JS'
const fs = require("fs"), assert = require("assert");
const { applyPatch } = require("fast-json-patch");
let count = 0;
for (const name of fs.readdirSync("pairs").filter((name) => name.endsWith(".patch.json"))) {
  const stem = "pairs/" + name.split(".")[0];
  const read = (path) => JSON.parse(fs.readFileSync(path, "utf8"));
  const result = applyPatch(read(stem + ".old.json"), read("pairs/" + name), true).newDocument;
  assert.deepEqual(result, read(stem + ".new.json"), name);
  count += 1;
}
assert(count > 0);
console.log("fast-json-patch:", count, "patches lead to equal values");
JS
node apply.cjs

python3 -m venv venv
venv/bin/pip install --quiet jsonpatch==1.33
cat > apply.py <<'PY'
import glob, json, jsonpatch
names = sorted(glob.glob("pairs/*.patch.json"))
assert names
for name in names:
    stem = "pairs/" + name.split("/")[1].split(".")[0]
    old, new, patch = (json.load(open(path)) for path in (stem + ".old.json", stem + ".new.json", name))
    assert jsonpatch.apply_patch(old, patch) == new, name
print("jsonpatch:", len(names), "patches lead to equal values")
PY
venv/bin/python apply.py
