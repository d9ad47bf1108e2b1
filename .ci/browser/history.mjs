// The year of a meter that keeps a log, in a headless Chromium: fetched by the console, cancelled and
// fetched again, then panned and zoomed, by mouse and by keyboard.
//
//     node history.mjs BASE_URL SCREENSHOT_DIR
//
// BASE_URL is that of examples/logger.rs. One line for each check; the exit code is 0 where all hold.

import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { WAIT, check, checkComplaints, end, equal, launch, openPage } from "./page.mjs";

const [base, shots] = process.argv.slice(2);
if (!base || !shots) {
  console.error("usage: node history.mjs BASE_URL SCREENSHOT_DIR");
  process.exit(2);
}
await mkdir(shots, { recursive: true });

const MINUTES_OF_A_YEAR = 525_600;
/** A task of the page that takes longer than this is a stutter on any machine. */
const TASK_MAX = 500;
const STEPS = 60;

const browser = await launch();
try {
  const page = await openPage(browser, { viewport: { width: 1280, height: 900 } });
  /** The answers with past values, each with its rows, bytes and time. */
  const answers = [];
  let asked = 0;
  const isChart = (request) => /\/his\?.*&buckets=/.test(request.url());
  page.on("request", (request) => (asked += isChart(request)));
  page.on("requestfinished", async (request) => {
    if (!isChart(request)) return;
    const body = await (await request.response()).body();
    const { responseEnd, requestStart } = request.timing();
    answers.push({ rows: JSON.parse(body).rows?.length, bytes: body.length, ms: responseEnd - requestStart });
  });
  await page.goto(base);
  await page.waitForSelector('tr[data-id="meter.temp"]', { timeout: WAIT });

  const words = () => page.locator("#inspect .fetch output").textContent();
  const state = (wanted) => page.waitForFunction(
    (text) => document.querySelector("#inspect .fetch").dataset.state === text, wanted, { timeout: 6 * WAIT });

  await check("histories are fetched with their progress, and cancelled", async () => {
    await page.locator(".head .inspect:visible").first().click();
    await page.waitForSelector("#inspect .fetch:not([hidden])", { timeout: WAIT });
    await page.selectOption("#inspect .fetch select", "pastYear");
    await page.click("#inspect .fetch [type=submit]");
    await page.click("#inspect .fetch .cancel", { timeout: WAIT });
    await state("cancelled");
    return words();
  });

  await check("a year of one-minute values is fetched", async () => {
    await page.click("#inspect .fetch [type=submit]");
    await state("running");
    await page.screenshot({ path: join(shots, "fetch.png") });
    await state("done");
    const told = await words();
    if (!/3 of 3 points/.test(told) || /failed/.test(told)) throw new Error(told);
    const count = Number(told.split(", ").at(-1).replace(/\D/g, ""));
    // Three points, without the days on which the meter was out of order.
    if (count < 3 * 0.95 * MINUTES_OF_A_YEAR) throw new Error(`${count} values`);
    await page.keyboard.press("Escape");
    await page.waitForSelector("#inspect", { state: "hidden", timeout: WAIT });
    return told;
  });

  const width = () => page.evaluate(() => document.querySelector("#chart svg").clientWidth);
  const drawn = () => page.evaluate(() => document.querySelector("#chart .mean").getAttribute("d") ?? "");
  /** Waits until the chart has what it asked for, and asks for nothing more. */
  const settled = async () => {
    for (let calm = 0; calm < 5; ) {
      await page.waitForTimeout(50);
      calm = answers.length === asked ? calm + 1 : 0;
    }
  };

  await check("the chart opens by keyboard and shows the year", async () => {
    await page.focus('tr[data-id="meter.temp"] .trend button');
    await page.keyboard.press("Enter");
    await page.waitForSelector("#chart[open]", { timeout: WAIT });
    await page.focus('#chart [data-span="year"]');
    await page.keyboard.press("Enter");
    await settled();
    const { rows, bytes, ms } = answers.at(-1);
    const pixels = await width();
    if (rows > 2 * pixels + 4 || rows < pixels * 0.9) throw new Error(`${rows} rows for ${pixels} pixels`);
    if (!(await drawn()).includes("L")) throw new Error("nothing is drawn");
    const lines = ((await drawn()).match(/M/g) ?? []).length;
    if (lines < 4) throw new Error(`${lines} lines: one goes over a hole`);
    await page.screenshot({ path: join(shots, "year.png") });
    return `${rows} rows, ${bytes} bytes in ${ms.toFixed(0)} ms for ${pixels} pixels`;
  });

  /** Watches the frames and the long tasks of the page from here on. */
  const watch = () => page.evaluate(() => {
    const seen = { times: [], lines: new Set(), tasks: [] };
    seen.observer = new PerformanceObserver((list) => seen.tasks.push(...list.getEntries().map(({ duration }) => duration)));
    seen.observer.observe({ type: "longtask" });
    const frame = (time) => {
      seen.times.push(time);
      seen.lines.add(document.querySelector("#chart .mean").getAttribute("d"));
      seen.frame = requestAnimationFrame(frame);
    };
    seen.frame = requestAnimationFrame(frame);
    globalThis.seen = seen;
  });
  const watched = async () => {
    const { steps, lines, tasks } = await page.evaluate(() => {
      cancelAnimationFrame(seen.frame);
      seen.observer.disconnect();
      const steps = seen.times.slice(1).map((time, at) => time - seen.times[at]).sort((a, b) => a - b);
      return { steps, lines: seen.lines.size, tasks: seen.tasks };
    });
    const at = (part) => steps[Math.floor(steps.length * part)].toFixed(0);
    const longest = Math.max(0, ...tasks);
    if (longest > TASK_MAX) throw new Error(`a task took ${longest} ms`);
    if (lines < STEPS / 6) throw new Error(`only ${lines} pictures were drawn for ${STEPS} steps`);
    return `${lines} pictures in ${steps.length} frames, ${at(0.5)} ms median, ${at(0.95)} ms 95th, ${tasks.length} long tasks, longest ${longest.toFixed(0)} ms`;
  };
  const toldSince = async (before) => {
    const since = answers.slice(before);
    const pixels = await width();
    const most = Math.max(0, ...since.map(({ rows }) => rows));
    if (most > 2 * pixels + 4) throw new Error(`${most} rows for ${pixels} pixels`);
    const ms = since.map((answer) => answer.ms).sort((a, b) => a - b);
    const kilobytes = since.reduce((sum, { bytes }) => sum + bytes, 0) / 1000;
    const longest = since.length ? `, ${ms.at(-1).toFixed(0)} ms at most` : "";
    return `${since.length} requests of at most ${most} rows, ${kilobytes.toFixed(0)} kB${longest}`;
  };

  await check("the year is panned by the mouse", async () => {
    await page.locator('#chart [data-span="month"]').click();
    await settled();
    const before = answers.length;
    await watch();
    const box = await page.locator("#chart svg").boundingBox();
    const [left, y] = [box.x + 40, box.y + box.height / 2];
    // Five drags, each over almost the whole width: five months back.
    for (let drag = 0; drag < 5; drag += 1) {
      await page.mouse.move(left, y);
      await page.mouse.down();
      await page.mouse.move(left + box.width - 80, y, { steps: STEPS / 5 });
      await page.mouse.up();
    }
    const frames = await watched();
    await settled();
    return `${frames}; ${await toldSince(before)}`;
  });

  await check("it is zoomed from a year to an hour and back by the wheel", async () => {
    await page.locator('#chart [data-span="year"]').click();
    await settled();
    const before = answers.length;
    await watch();
    const box = await page.locator("#chart svg").boundingBox();
    await page.mouse.move(box.x + box.width * 0.4, box.y + box.height / 2);
    // 0.8 to the power of 41 makes an hour of a year.
    for (let step = 0; step < 41; step += 1) await page.mouse.wheel(0, -100);
    await settled();
    const single = answers.at(-1).rows;
    if (single > 160 || single < 60) throw new Error(`two hours have ${single} rows`);
    await page.screenshot({ path: join(shots, "hour.png") });
    for (let step = 0; step < 41; step += 1) await page.mouse.wheel(0, 100);
    const frames = await watched();
    await settled();
    return `${frames}; ${await toldSince(before)}`;
  });

  await check("what is shown is kept as CSV", async () => {
    await page.locator('#chart [data-span="day"]').click();
    await settled();
    const [file] = await Promise.all([page.waitForEvent("download", { timeout: WAIT }), page.click("#chart .file")]);
    const lines = (await readFile(await file.path(), "utf8")).trim().split("\r\n");
    // A day, with one item before and two after it, where there are any.
    if (lines[0] !== "ts,val" || lines.length < 1_430 || lines.length > 1_444) throw new Error(`${lines[0]}, ${lines.length} lines`);
    return `${file.suggestedFilename()}, ${lines.length} lines`;
  });

  await check("it is moved and zoomed by keyboard, and Escape leads back", async () => {
    await page.locator('#chart [data-span="month"]').click();
    await page.focus("#chart svg");
    for (const key of ["ArrowLeft", "+", "-", "ArrowRight", "ArrowLeft"]) {
      const then = await drawn();
      await page.keyboard.press(key);
      await page.waitForFunction((was) => document.querySelector("#chart .mean").getAttribute("d") !== was, then, { timeout: WAIT });
    }
    await settled();
    await page.keyboard.press("Escape");
    await page.waitForSelector("#chart", { state: "hidden", timeout: WAIT });
    const focused = await page.evaluate(() => document.activeElement.closest("tr")?.dataset.id);
    equal(focused, "meter.temp", "what has the focus");
  });

  await checkComplaints(page);
} finally {
  await browser.close();
}
end();
