"""peers.py STEM: prints how many bytes the patch of jsonpatch has, if it leads to the new document."""

import json
import sys

import jsonpatch

stem = sys.argv[1]
old, new = (json.load(open(f"{stem}.{what}.json")) for what in ("old", "new"))
patch = jsonpatch.make_patch(old, new)
assert patch.apply(old) == new
text = json.dumps(patch.patch, separators=(",", ":"), ensure_ascii=False)
plain = all(operation["op"] in ("add", "remove", "replace") for operation in patch.patch)
print(f"{len(text.encode())},{'plain' if plain else 'moves'}")
