#!/usr/bin/env bash
# Each crate without its features, and with each feature alone.
. .ci/lib.sh

# One line for each check: a crate and one of its features, or "-".
checks() {
    cargo metadata --locked --no-deps --format-version 1 | python3 -c '
import json, sys
for package in json.load(sys.stdin)["packages"]:
    if "/crates/" in package["manifest_path"]:
        print(package["name"], "-")
        for feature in sorted(set(package["features"]) - {"default"}):
            print(package["name"], feature)
'
}

# What one crate leaves out another may bring in, so that each is checked by itself. Clippy checks
# what `cargo check` does and takes warnings for errors in the workspace only.
checks | while read -r crate feature; do
    with=(--features "$feature")
    [ "$feature" != - ] || with=()
    run cargo clippy --quiet --locked -p "$crate" --no-default-features "${with[@]}" -- -D warnings
done
