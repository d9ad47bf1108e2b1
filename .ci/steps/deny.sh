#!/usr/bin/env bash
# Licences, banned crates, sources and double versions, by deny.toml.
. .ci/lib.sh

run python3 .ci/deny.py --self-test
run python3 .ci/deny.py
