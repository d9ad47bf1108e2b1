#!/usr/bin/env bash
# Patches of the engine applied by others: crate json-patch, fast-json-patch from npm, jsonpatch from PyPI.
. .ci/lib.sh

python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
run retry .ci/interop/patch_appliers.sh
