// peers.mjs PEER STEM: prints how many bytes the patch of a peer has, if it leads to the new document.
import { readFileSync } from "node:fs";
import { deepStrictEqual } from "node:assert";
import fast from "fast-json-patch";

const [peer, stem] = process.argv.slice(2);
const read = (what) => JSON.parse(readFileSync(`${stem}.${what}.json`, "utf8"));
const [before, after] = [read("old"), read("new")];

// Elements are told apart by what mostly does it, as their users would have it.
const identity = (item) => item?.id ?? item?.id_str ?? item?.symbol ?? item?.code ?? JSON.stringify(item);

const peers = {
  "fast-json-patch": async () => fast.compare(before, after),
  rfc6902: async () => (await import("rfc6902")).createPatch(before, after),
  "json-joy": async () => {
    const { JsonPatchDiff } = await import("json-joy/lib/json-patch-diff/JsonPatchDiff.js");
    class Standard extends JsonPatchDiff {
      diffStr(path, src, dst) {
        if (src !== dst) this.patch.push({ op: "replace", path, value: dst });
      }
    }
    return new Standard().diff("", before, after);
  },
  "generate-json-patch": async () => {
    const { generateJSONPatch } = await import("generate-json-patch");
    return generateJSONPatch(before, after, { objectHash: (item) => String(identity(item)) });
  },
  jsondiffpatch: async () => {
    const { create } = await import("jsondiffpatch");
    const { format } = await import("jsondiffpatch/formatters/jsonpatch");
    const differ = create({ objectHash: identity, textDiff: { minLength: Infinity } });
    return format(differ.diff(before, after)) ?? [];
  },
};

const patch = await peers[peer]();
const text = JSON.stringify(patch);
deepStrictEqual(fast.applyPatch(read("old"), JSON.parse(text), true).newDocument, after);
const plain = patch.every((operation) => ["add", "remove", "replace"].includes(operation.op));
console.log(`${Buffer.byteLength(text)},${plain ? "plain" : "moves"}`);
