#!/usr/bin/env python3
"""Checks what is built into the workspace against deny.toml.

    python3 .ci/deny.py [--self-test]

It reads `cargo metadata` and knows these keys of deny.toml, as cargo-deny means them; any other key
is an error, so that no rule is written that nobody checks:

    [graph]     all-features, targets
    [licenses]  allow, private.ignore
    [sources]   unknown-git, unknown-registry (only "deny")
    [bans]      multiple-versions, wildcards (only "deny"), allow-wildcard-paths,
                skip = [{crate = "name@1" or "name@0.2", reason}], deny = [{crate, reason, wrappers}]

Prints what breaks a rule and exits 1. An exception that nothing needs any more is a break too.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KNOWN = {
    "graph": {"all-features", "targets"},
    "licenses": {"allow", "private"},
    "sources": {"unknown-git", "unknown-registry"},
    "bans": {"multiple-versions", "wildcards", "allow-wildcard-paths", "skip", "deny"},
}


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    broken = check(rules, metadata(rules))
    print("\n".join(broken) or "deny.toml holds")
    return 1 if broken else 0


def metadata(rules):
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    if rules["graph"]["all-features"]:
        command.append("--all-features")
    for target in rules["graph"]["targets"]:
        command += ["--filter-platform", target]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def check(rules, meta):
    packages = {package["id"]: package for package in meta["packages"]}
    # What those features bring in on those targets; the lock file lists more than that.
    built = {node["id"]: node for node in meta["resolve"]["nodes"]}
    used = [package for name, package in packages.items() if name in built]
    return [
        *unknown_keys(rules),
        *licences(rules["licenses"], used),
        *sources(rules["sources"], used),
        *bans(rules["bans"], used, packages, built),
        *versions(rules["bans"], used),
    ]


def unknown_keys(rules):
    for section, table in rules.items():
        for key in table.keys() - KNOWN.get(section, set()):
            yield f"deny.toml: [{section}] {key} is not a rule that .ci/deny.py knows"
    for section, key in (("sources", "unknown-git"), ("sources", "unknown-registry"),
                         ("bans", "multiple-versions"), ("bans", "wildcards")):
        if rules[section][key] != "deny":
            yield f"deny.toml: [{section}] {key} can only be \"deny\""


def licences(rules, used):
    allowed, needed = set(rules["allow"]), set()
    for package in used:
        if package["source"] is None and rules["private"]["ignore"]:
            continue
        text = package["license"]
        if text is None:
            yield f"{name(package)} states no licence"
            continue
        try:
            taken = Expression(text).choose(allowed)
        except ValueError as error:
            yield f"{name(package)}: licence \"{text}\": {error}"
            continue
        if taken is None:
            yield f"{name(package)}: licence \"{text}\" is not allowed"
        else:
            needed |= taken
    for licence in sorted(allowed - needed):
        yield f"deny.toml: no crate needs the licence {licence}"


class Expression:
    """An SPDX expression: names, `WITH exception`, AND, OR, parentheses, and the old `/` for OR."""

    def __init__(self, text):
        self.tokens = re.findall(r"[()]|[^\s()]+", text.replace("/", " OR "))

    def choose(self, allowed):
        """The licences taken of those allowed, or None."""
        taken = self.one_of(allowed)
        if self.tokens:
            raise ValueError(f"not understood from \"{self.tokens[0]}\" on")
        return taken

    def one_of(self, allowed):
        choices = [self.all_of(allowed)]
        while self.tokens[:1] == ["OR"]:
            self.tokens.pop(0)
            choices.append(self.all_of(allowed))
        return next((choice for choice in choices if choice is not None), None)

    def all_of(self, allowed):
        parts = [self.term(allowed)]
        while self.tokens[:1] == ["AND"]:
            self.tokens.pop(0)
            parts.append(self.term(allowed))
        return None if None in parts else set().union(*parts)

    def term(self, allowed):
        if not self.tokens or self.tokens[0] in (")", "AND", "OR", "WITH"):
            raise ValueError("a licence is missing")
        token = self.tokens.pop(0)
        if token == "(":
            inner = self.one_of(allowed)
            if self.tokens[:1] != [")"]:
                raise ValueError("a parenthesis is open")
            self.tokens.pop(0)
            return inner
        if self.tokens[:1] == ["WITH"]:
            token = " ".join([token, *self.tokens[:2]])
            del self.tokens[:2]
        return {token} if token in allowed else None


def sources(rules, used):
    for package in used:
        source = package["source"]
        if source is None and not Path(package["manifest_path"]).is_relative_to(ROOT):
            yield f"{name(package)} comes from outside the repository"
        elif source is not None and not source.startswith("registry+"):
            yield f"{name(package)} comes from {source}"
    registries = {package["source"] for package in used} - {None}
    if len({source for source in registries if source.startswith("registry+")}) > 1:
        yield f"crates come from several registries: {', '.join(sorted(registries))}"


def bans(rules, used, packages, built):
    parents = defaultdict(set)
    for node in built.values():
        for dep in node["deps"]:
            parents[packages[dep["pkg"]]["name"]].add(packages[node["id"]]["name"])
    present = {package["name"] for package in used}
    for rule in rules["deny"]:
        crate, wrappers = rule["crate"], set(rule.get("wrappers", []))
        for parent in sorted(parents[crate] - wrappers):
            yield f"{parent} brings {crate}, which is banned: {rule['reason']}"
        for wrapper in sorted(wrappers - parents[crate]):
            yield f"deny.toml: {wrapper} does not bring {crate} any more"
        if crate in present and not parents[crate]:
            yield f"{crate} is banned: {rule['reason']}"
    for package in used:
        for dep in package["dependencies"] if package["source"] is None else []:
            if dep["req"] == "*" and not (dep.get("path") and rules["allow-wildcard-paths"]):
                yield f"{name(package)} takes any version of {dep['name']}"


def versions(rules, used):
    found = defaultdict(set)
    for package in used:
        found[package["name"]].add(package["version"])
    skipped = {rule["crate"] for rule in rules["skip"]}
    needed = set()
    for crate, several in sorted(found.items()):
        by_rule = {version: skipped & set(specs(crate, version)) for version in several}
        rest = {version for version, rules_of_it in by_rule.items() if not rules_of_it}
        if len(several) > 1:
            needed |= set().union(*by_rule.values())
        if len(rest) > 1:
            yield f"{crate} is built in several versions: {', '.join(sorted(rest))}"
    for rule in sorted(skipped - needed):
        yield f"deny.toml: {rule} needs no exception any more"


def specs(crate, version):
    """What an exception may call this version: `name@1`, `name@1.2`, `name@1.2.3`."""
    parts = version.split(".")
    return [f"{crate}@{'.'.join(parts[:count])}" for count in range(1, len(parts) + 1)]


def name(package):
    return f"{package['name']} {package['version']}"


def self_test():
    """Each rule catches what it is there for."""
    allowed = {"MIT", "Apache-2.0", "Unicode-3.0"}
    for text, taken in {
        "MIT": {"MIT"}, "GPL-3.0": None, "GPL-3.0 OR MIT": {"MIT"}, "MIT/GPL-3.0": {"MIT"},
        "MIT AND GPL-3.0": None, "(MIT OR GPL-3.0) AND Unicode-3.0": {"MIT", "Unicode-3.0"},
        "Apache-2.0 WITH LLVM-exception": None, "Apache-2.0 WITH LLVM-exception OR MIT": {"MIT"},
    }.items():
        assert Expression(text).choose(allowed) == taken, text
    for text in ("MIT OR", "(MIT", "MIT GPL-3.0", ""):
        try:
            Expression(text).choose(allowed)
        except ValueError:
            continue
        raise AssertionError(text)

    def package(crate, version="1.0.0", licence="MIT", source="registry+a", deps=()):
        return {"id": f"{crate}@{version}", "name": crate, "version": version, "license": licence,
                "source": source, "manifest_path": str(ROOT / "x/Cargo.toml"), "dependencies": deps}

    def broken(*packages, edges=()):
        nodes = [{"id": p["id"], "deps": [{"pkg": to} for of, to in edges if of == p["id"]]}
                 for p in packages]
        rules = {
            "graph": {"all-features": True, "targets": []},
            "licenses": {"allow": ["MIT"], "private": {"ignore": False}},
            "sources": {"unknown-git": "deny", "unknown-registry": "deny"},
            "bans": {"multiple-versions": "deny", "wildcards": "deny", "skip": [],
                     "allow-wildcard-paths": True,
                     "deny": [{"crate": "bad", "reason": "it is", "wrappers": ["wrap"]}]},
        }
        both = [package("wrap"), package("bad")]
        nodes += [{"id": "wrap@1.0.0", "deps": [{"pkg": "bad@1.0.0"}]}, {"id": "bad@1.0.0", "deps": []}]
        meta = {"packages": [*packages, *both], "resolve": {"nodes": nodes}}
        return check(rules, meta)

    star = [{"name": "a", "req": "*"}]
    for message, found in {
        "": broken(package("a")),
        "several versions": broken(package("a"), package("a", "2.0.0")),
        "is not allowed": broken(package("a", licence="GPL-3.0")),
        "no licence": broken(package("a", licence=None)),
        "several registries": broken(package("a", source="registry+b")),
        "comes from git": broken(package("a", source="git+https://example.org/a")),
        "a brings bad": broken(package("a"), edges=[("a@1.0.0", "bad@1.0.0")]),
        "any version": broken(package("a", source=None, deps=star)),
    }.items():
        wanted = 1 if message else 0
        assert len(found) == wanted and all(message in line for line in found), (message, found)
    print("each rule catches what it is there for")
    return 0


if __name__ == "__main__":
    sys.exit(main())
