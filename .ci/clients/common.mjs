// What the tests of clients share.

import net from "node:net";
import { isDeepStrictEqual } from "node:util";

const WAIT = 20_000;

/** Waits until `condition` holds, which is looked at whenever anything happens and now and then. */
export async function until(what, condition) {
  const end = Date.now() + WAIT;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export function equal(found, expected, what) {
  if (!isDeepStrictEqual(found, expected)) {
    throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
  }
}

export async function publish(hub, topic, document) {
  const answer = await fetch(`${hub}/publish/v1/topics/${topic}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(document),
  });
  equal(answer.status, 204, `publishing to ${topic}`);
}

/** A proxy in front of the hub that notes the heads of requests and can cut all connections. */
export async function proxy(hub) {
  const to = new URL(hub);
  const pairs = new Set();
  const heads = [];
  let open = true;
  const server = net.createServer((client) => {
    if (!open) return client.destroy();
    const upstream = net.connect(Number(to.port), to.hostname);
    pairs.add(client).add(upstream);
    client.on("data", (bytes) => {
      // As proxies do that pass on a request under the server's own name.
      const text = bytes.toString("latin1").replace(/^(host: ).*$/im, `$1${to.host}`);
      heads.push(text);
      upstream.write(text, "latin1");
    });
    upstream.pipe(client);
    for (const socket of [client, upstream]) {
      socket.on("error", () => {});
      socket.on("close", () => { client.destroy(); upstream.destroy(); });
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: server.address().port,
    heads,
    cut() { open = false; for (const socket of pairs) socket.destroy(); pairs.clear(); },
    mend() { open = true; },
    close() { this.cut(); server.close(); },
  };
}

let failed = 0;

export async function check(what, run) {
  try {
    await run();
    console.log(`ok    ${what}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${what}\n      ${error.message}`);
  }
}

export function finish() {
  process.exit(failed ? 1 : 0);
}
