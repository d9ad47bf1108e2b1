// The page's patch module, without a browser: node --test.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

// By its text, since a .js file outside a package of modules is no module to Node 20.
const source = new URL("../../crates/pointstream-http/src/console/patch.js", import.meta.url);
const { apply, jsonSize, tokens } = await import(`data:text/javascript,${encodeURIComponent(await readFile(source, "utf8"))}`);

const point = (path, value, op = "replace") => ({ op, path, value });

/** Applies and compares, the growth being that of the text. */
function check(before, patch, after) {
  const document = structuredClone(before);
  const result = apply(document, patch);
  assert.deepEqual(result.document, after);
  assert.equal(result.grown, jsonSize(after) - jsonSize(before));
}

test("pointers are decoded, ~1 before ~0", () => {
  assert.deepEqual(tokens(""), []);
  assert.deepEqual(tokens("/"), [""]);
  assert.deepEqual(tokens("/a~1b/m~0n/~01"), ["a/b", "m~n", "~1"]);
  for (const bad of ["a", "/~", "/~2", undefined, 3]) assert.throws(() => tokens(bad));
});

test("members are added, removed and replaced", () => {
  const document = { "ahu.t": { val: 21.5, unit: "°C", status: "ok" }, x: 1 };
  check(document, [point("/ahu.t/val", 22)], { "ahu.t": { val: 22, unit: "°C", status: "ok" }, x: 1 });
  check(document, [point("/ahu.t/err", "größer", "add")], { "ahu.t": { ...document["ahu.t"], err: "größer" }, x: 1 });
  check(document, [{ op: "remove", path: "/ahu.t/unit" }], { "ahu.t": { val: 21.5, status: "ok" }, x: 1 });
  check(document, [point("/x", null, "add")], { ...document, x: null });
  check({ "": 1, "a/b": 2 }, [point("/", 3), point("/a~1b", 4)], { "": 3, "a/b": 4 });
});

test("elements are added, removed and replaced", () => {
  check([1, 2], [point("/0", 0, "add")], [0, 1, 2]);
  check([1, 2], [point("/2", 3, "add"), point("/-", 4, "add")], [1, 2, 3, 4]);
  check([1, 2, 3], [{ op: "remove", path: "/1" }], [1, 3]);
  check([{ a: [1] }], [point("/0/a/0", 2)], [{ a: [2] }]);
});

test("the root may be replaced", () => {
  check({ a: 1 }, [point("", [1]), point("/-", 2, "add")], [1, 2]);
});

test("what does not apply throws", () => {
  const refused = [
    point("/b", 1), { op: "remove", path: "/b" }, point("/b/c", 1, "add"), point("/a/0", 1, "add"),
    { op: "add", path: "/b" }, { op: "remove", path: "" }, { op: "move", from: "/a", path: "/b" },
    point("/toString", 1), point("/toString/name", 1), point("/list/2", 1, "add"), point("/list/01", 1), point("/list/-", 1),
    point("/list/length", 0),
  ];
  for (const operation of refused) assert.throws(() => apply({ a: 1, list: [1] }, [operation]), JSON.stringify(operation));
  assert.throws(() => apply({}, {}));
});

test("no path reaches a prototype", () => {
  for (const path of ["/__proto__/polluted", "/constructor/prototype/polluted", "/a/__proto__/polluted"]) {
    assert.throws(() => apply({ a: {} }, [point(path, true, "add")]));
  }
  const { document } = apply({}, [point("/__proto__", { polluted: true }, "add"), point("/__proto__/more", 1, "add")]);
  assert.equal(Object.getPrototypeOf(document), Object.prototype);
  assert.equal(document.polluted, undefined);
  assert.equal({}.polluted, undefined);
  assert.equal(JSON.stringify(document), '{"__proto__":{"polluted":true,"more":1}}');
});
