// npm's eventsource against the hub.
//
//     node eventsource.mjs HUB

import { EventSource } from "eventsource";
import jsonpatch from "fast-json-patch";
import { check, equal, finish, proxy, publish, until } from "./common.mjs";

const [hub] = process.argv.slice(2);
const way = await proxy(hub);
const long = (n) => ({ n, name: "Süd \u{1f600}", pad: "0123456789".repeat(20) });

await check("the document, patches, and patches after a cut", async () => {
  await publish(hub, "demo", long(1));
  const events = new EventSource(`http://127.0.0.1:${way.port}/v1/topics/demo`);
  let document;
  const kinds = [];
  events.addEventListener("data", (event) => { document = JSON.parse(event.data); kinds.push("data"); });
  events.addEventListener("patch", (event) => {
    jsonpatch.applyPatch(document, JSON.parse(event.data), true);
    kinds.push("patch");
  });
  await until("the document", () => document);
  await publish(hub, "demo", long(2));
  await until("a patch", () => document.n === 2);
  way.cut();
  await publish(hub, "demo", long(3));
  way.mend();
  await until("what was missed", () => document.n === 3);
  equal(document, long(3), "document");
  equal(kinds, ["data", "patch", "patch"], "events");
  events.close();
});

await check("whole documents for who accepts application/json alone", async () => {
  const events = new EventSource(`${hub}/v1/topics/demo`, {
    fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, Accept: "application/json" } }),
  });
  const documents = [];
  events.addEventListener("data", (event) => documents.push(JSON.parse(event.data).n));
  await until("the document", () => documents.length === 1);
  await publish(hub, "demo", long(4));
  await until("the next one", () => documents.length === 2);
  equal(documents, [3, 4], "documents");
  events.close();
});

way.close();
finish();
