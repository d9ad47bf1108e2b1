// EventSource of a headless Chromium against the hub, from a page of the hub's own.
//
//     node eventsource.mjs HUB

import { chromium } from "playwright-core";

const [hub] = process.argv.slice(2);
const publish = async (document) => {
  const answer = await fetch(`${hub}/publish/v1/topics/demo`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(document),
  });
  if (answer.status !== 204) throw new Error(`publishing: ${answer.status}`);
};
const long = (n) => ({ n, name: "Süd \u{1f600}", pad: "0123456789".repeat(20) });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"],
});
try {
  const page = await browser.newPage();
  await page.goto(`${hub}/`);
  await publish(long(1));
  for (const query of ["", "?X-Sd-Compress=true"]) {
    await page.evaluate((query) => {
      window.seen = [];
      window.events?.close();
      window.events = new EventSource(`/v1/topics/demo${query}`);
      for (const kind of ["data", "patch", "error"]) {
        window.events.addEventListener(kind, (event) => {
          window.seen.push([kind, event.data, event.lastEventId]);
        });
      }
    }, query);
    const count = (n) => page.waitForFunction((n) => window.seen.length >= n, n, { timeout: 20_000 });
    await count(1);
    const next = Date.now();
    await publish(long(next));
    await count(2);
    const [first, second] = await page.evaluate(() => window.seen);
    if (first[0] !== "data" || JSON.parse(first[1]).name !== long(1).name) throw new Error(first);
    if (second[0] !== "patch" || JSON.parse(second[1])[0].value !== next) throw new Error(second);
    if (!/^[0-9a-f-]{36}#\d+$/.test(second[2])) throw new Error(`id ${second[2]}`);
    console.log(`ok    EventSource in Chromium${query && ", packed"}`);
  }
} finally {
  await browser.close();
}
