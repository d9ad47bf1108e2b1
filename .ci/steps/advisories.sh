#!/usr/bin/env bash
# Known vulnerabilities of what Cargo.lock names, where the list of them is at hand.
. .ci/lib.sh

script=${ADVISORIES:-../shared/tools/advisories.py}
if [ -f "$script" ]; then
    run python3 "$script" Cargo.lock
    run python3 "$script" fuzz/Cargo.lock
else
    echo "skipped: there is no list of advisories here"
fi
