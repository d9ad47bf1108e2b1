// The vendor's SDK against the hub, unchanged: only its server's address is set.
//
//     node sdk.mjs HUB SOURCE
//
// HUB serves the topics `demo`, `items` (of items by .Symbol) and `source`, which polls SOURCE, a URL
// that the test itself serves.

import http from "node:http";
import { createRequire } from "node:module";
import jsonpatch from "fast-json-patch";
import { check, equal, finish, proxy, publish, until } from "./common.mjs";

const require = createRequire(import.meta.url);
const { createEventSource } = require("streamdataio-js-sdk/dist/bundles/streamdataio-node.js");
const [hub, source] = process.argv.slice(2);
const way = await proxy(hub);

/** Follows a URL by the SDK and keeps the document as its users do. */
function follow(url, token, headers) {
  const seen = { document: undefined, kinds: [], errors: [], opened: 0 };
  const events = createEventSource(url, token, headers);
  events.server.protocol = "http";
  events.server.hostname = "127.0.0.1";
  events.server.port = String(way.port);
  events.onOpen(() => { seen.opened += 1; });
  events.onData((data) => { seen.document = data; seen.kinds.push("data"); });
  events.onPatch((patch) => {
    jsonpatch.applyPatch(seen.document, patch, true);
    seen.kinds.push("patch");
  });
  events.onError((error) => { seen.errors.push(error); });
  events.open();
  seen.close = () => events.close();
  return seen;
}

const long = (n) => ({ n, name: "Süd \u{1f600}", pad: "0123456789".repeat(20) });

await check("a topic: the document, then patches", async () => {
  await publish(hub, "demo", long(1));
  const seen = follow(`${hub}/v1/topics/demo`, "tok=A/b+", []);
  await until("the document", () => seen.document);
  equal(seen.document, long(1), "document");
  await publish(hub, "demo", long(2));
  await until("a patch", () => seen.kinds.length === 2);
  equal(seen.document, long(2), "document after a patch");
  equal(seen.kinds, ["data", "patch"], "events");
  if (!way.heads.some((head) => head.includes("X-Sd-Token=tok%3DA%2Fb%2B"))) throw new Error("no token was sent");
  seen.close();
});

await check("it comes back after a cut and goes on with patches alone", async () => {
  const seen = follow(`${hub}/v1/topics/demo`, "t", []);
  await until("the document", () => seen.document);
  way.cut();
  await publish(hub, "demo", long(3));
  await publish(hub, "demo", long(4));
  way.mend();
  await until("what was missed", () => seen.document.n === 4);
  equal(seen.document, long(4), "document");
  equal(seen.kinds.includes("data", 1), false, "a second document");
  if (!way.heads.at(-1).toLowerCase().includes("last-event-id: ")) throw new Error("no Last-Event-ID");
  seen.close();
});

await check("an error is told with its code", async () => {
  const seen = follow(`${hub}/v1/topics/nothing`, "t", []);
  await until("the error", () => seen.errors.length > 0);
  const text = JSON.stringify(seen.errors[0]);
  if (!text.includes("40401") || !text.includes("2000")) throw new Error(text);
  seen.close();
});

await check("a filter on a topic of items", async () => {
  await publish(hub, "items", [{ Symbol: "A", Bid: 1 }, { Symbol: "B,C", Bid: 1 }, { Symbol: "D", Bid: 1 }]);
  const seen = follow(`${hub}/v1/topics/items?X-Sd-Filter=A,B%2CC`, "t", []);
  await until("the items", () => seen.document);
  equal(seen.document.map((item) => item.Symbol), ["A", "B,C"], "items");
  await publish(hub, "items", [{ Symbol: "D", Bid: 2 }]);
  await publish(hub, "items", [{ Symbol: "A", Bid: 2 }]);
  await until("the change", () => seen.document[0].Bid === 2);
  equal(seen.kinds.length, 2, "events");
  seen.close();
});

await check("the URL of a source that is polled, with headers", async () => {
  let n = 0;
  const server = http.createServer((request, answer) => {
    answer.setHeader("Content-Type", "application/json");
    answer.end(JSON.stringify({ ...long(n), path: request.url }));
  });
  await new Promise((resolve) => server.listen(Number(new URL(source).port), "127.0.0.1", resolve));
  const seen = follow(source, "t", ["Authorization: Basic QWxh==", "X-Two: a,b"]);
  await until("the document", () => seen.document);
  equal(seen.document.path, new URL(source).pathname + new URL(source).search, "what was polled");
  n = 7;
  await until("the change", () => seen.document.n === 7);
  equal(seen.kinds, ["data", "patch"], "events");
  if (!way.heads.at(-1).includes("X-Sd-Header=X-Two%3A%20a%2Cb")) throw new Error(way.heads.at(-1));
  seen.close();
  server.close();
  server.closeAllConnections();
});

way.close();
finish();
