// Opens the console page in a headless Chromium and checks what a person would see: values that
// move, a write that arrives, a refusal that is told, the phone, the dark.
//
//     node console.mjs BASE_URL SCREENSHOT_DIR [--restart-cmd COMMAND] [--token TOKEN] [--add-points]
//
// --add-points: the connector ahu has a CSV point file, meter has none.
// COMMAND restarts the gateway, or kills it and returns once another is on its way up. CHROMIUM
// names the browser, /usr/bin/chromium by default. One line for each check; the exit code is 0
// where all of them hold.

import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { WAIT, check, checkComplaints, end, equal, launch, openPage } from "./page.mjs";

const ROWS = 10;
const POINT = "ahu.tempSetpoint";

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: { "restart-cmd": { type: "string" }, token: { type: "string" }, "add-points": { type: "boolean" } },
});
const [base, shots] = positionals;
if (!base || !shots) {
  console.error("usage: node console.mjs BASE_URL SCREENSHOT_DIR [--restart-cmd COMMAND] [--token TOKEN]");
  process.exit(2);
}
await mkdir(shots, { recursive: true });

const browser = await launch();
let restarting = false;
// A refused write and a gateway that is away are meant to be seen here.
const expected = ({ text, url }) => (url.endsWith("/write") && /status of 4\d\d/.test(text))
  || (options.token && /status of 401/.test(text)) || (restarting && url.includes("/v1/"));
const open = (settings) => openPage(browser, settings, expected);

try {
  const page = await open({ viewport: { width: 1440, height: 1000 } });
  const row = page.locator(`tr[data-id="${POINT}"]`);

  await check("the page opens under a strict content policy", async () => {
    const answer = await page.goto(base);
    equal(answer.status(), 200, "status");
    const policy = answer.headers()["content-security-policy"] ?? "";
    if (!policy.includes("default-src 'self'") || policy.includes("unsafe")) throw new Error(`policy is "${policy}"`);
    if (options.token) await enterToken(page);
  });

  await check(`at least ${ROWS} rows show values`, async () => {
    await valuesShown(page);
    return `${await page.locator("tr[data-id]").count()} rows`;
  });

  await check("a value moves", () => valueMoves(page));

  await check("the stream is live and counted", async () => {
    await page.waitForSelector('#link[data-state="live"]', { timeout: WAIT });
    await page.waitForFunction(() => parseFloat(document.querySelector("#rate").textContent) > 0, null, { timeout: WAIT });
    await page.waitForFunction(() => parseFloat(document.querySelector("#saved").textContent) > 0, null, { timeout: WAIT });
    return `${await page.textContent("#rate")} events/s, ${await page.textContent("#received")}, ${await page.textContent("#saved")} saved`;
  });

  await check("sparklines are drawn", () => page.waitForFunction(
    (least) => [...document.querySelectorAll(".trend path")].filter((path) => /[LH]/.test(path.getAttribute("d"))).length >= least,
    ROWS / 2, { timeout: WAIT }));

  await check("the filter sifts the rows", async () => {
    const before = await page.locator("tr[data-id]:visible").count();
    await page.fill("#filter", POINT);
    await page.waitForFunction(() => document.querySelectorAll("tr[data-id]:not([hidden])").length === 1, null, { timeout: WAIT });
    await row.waitFor({ state: "visible", timeout: WAIT });
    await page.press("#filter", "Escape");
    await page.waitForFunction((n) => document.querySelectorAll("tr[data-id]:not([hidden])").length >= n, before, { timeout: WAIT });
  });

  await check("a group folds and unfolds", async () => {
    const fold = page.locator(".group", { has: row }).locator(".fold");
    await fold.click();
    await row.waitFor({ state: "hidden", timeout: WAIT });
    await fold.click();
    await row.waitFor({ state: "visible", timeout: WAIT });
  });

  await check(`writing ${POINT} = 21.5 changes its row`, async () => {
    // A row that shows 21.5 already could not be seen to change.
    if (await shownNumber(row) === 21.5) await writeAndSee(page, row, 22);
    await writeAndSee(page, row, 21.5);
  });

  await check("a write out of range is refused inline", async () => {
    await writeBox(row, "99");
    const note = row.locator('.note[data-kind="error"]');
    await note.waitFor({ state: "visible", timeout: WAIT });
    equal(await shownNumber(row), 21.5, "the row");
    return (await note.textContent()).trim();
  });

  await check("a connector is inspected while it works", async () => {
    await page.locator(".head .inspect:visible").first().click();
    await page.waitForFunction(() => document.querySelector("#inspect .details").textContent.includes("status:        ok"), null, { timeout: WAIT });
  });

  await check("its trace shows frames in hex, decoded", async () => {
    await page.check("#tracing");
    const frame = page.locator('#inspect .lines li[data-type="res"]:has(.hex)').last();
    await frame.waitFor({ state: "attached", timeout: WAIT });
    const text = await frame.locator(".msg").textContent();
    if (!text.startsWith("unit ")) throw new Error(`the frame is "${text}"`);
    await page.uncheck("#tracing");
    await page.waitForFunction(() => document.querySelectorAll("#inspect .lines li").length === 0, null, { timeout: WAIT });
    return text.slice(0, 60);
  });

  await check("its device's tree is browsed", async () => {
    await page.locator("#inspect .tree summary").first().click();
    const rows = page.locator("#inspect .tree li");
    await rows.first().waitFor({ state: "visible", timeout: WAIT });
    const deeper = page.locator("#inspect .tree li summary");
    if (await deeper.count()) {
      await deeper.last().click();
      await page.waitForFunction(() => document.querySelectorAll("#inspect .tree .addr").length > 0, null, { timeout: WAIT });
    }
    const count = await rows.count();
    await page.locator("#inspect .close button").click();
    return `${count} rows`;
  });

  if (options["add-points"]) {
    for (const [connector, file] of [["ahu", "the connector's point file"], ["meter", "the configuration file"]]) {
      await check(`a point of ${connector}'s tree is added to ${file} and taken away again`, () => addAndUndo(page, connector, file));
    }
  }

  await check("the past of a point is drawn, and moves when it is zoomed", async () => {
    await page.locator('tr[data-id="ahu.supplyTemp"] .trend button').click();
    // A gateway that has just started has to collect something first.
    const drawn = async () => /L/.test(await page.locator("#chart .mean").getAttribute("d") ?? "");
    for (let tries = 0; tries < 10 && !(await drawn()); tries += 1) {
      await page.locator('#chart [data-span="hour"]').click();
      await page.waitForTimeout(2000);
    }
    if (!(await drawn())) throw new Error("nothing is drawn");
    await page.screenshot({ path: join(shots, "chart.png") });
    const before = await page.locator("#chart .mean").getAttribute("d");
    await page.focus("#chart svg");
    await page.keyboard.press("ArrowLeft");
    await page.waitForFunction((then) => document.querySelector("#chart .mean").getAttribute("d") !== then, before, { timeout: WAIT });
    await page.locator("#chart .close button").click();
  });

  await check("the levels of a point are shown, written and released", async () => {
    await row.locator(".levels").click();
    const dialog = page.locator("#levels");
    const inEffect = (text) => page.waitForFunction(
      (wanted) => document.querySelector("#levels .effective").textContent.includes(wanted), text, { timeout: WAIT });
    await inEffect("21.5");
    await page.fill("#put-value input", "23");
    await page.selectOption("#put-level", "8");
    await page.selectOption("#put-time", "10min");
    await dialog.locator(".put button").click();
    await inEffect("at 8 (manual)");
    await page.waitForFunction(
      (id) => parseFloat(document.querySelector(`tr[data-id="${id}"] .val`).textContent) === 23, POINT, { timeout: WAIT });
    await page.screenshot({ path: join(shots, "levels.png") });
    await dialog.locator('tr[data-level="8"] button').click();
    await inEffect("at 16");
    await page.waitForFunction(
      (id) => parseFloat(document.querySelector(`tr[data-id="${id}"] .val`).textContent) === 21.5, POINT, { timeout: WAIT });
    await dialog.locator(".close button").click();
    await dialog.waitFor({ state: "hidden", timeout: WAIT });
  });

  await check("the topic is shown as it is: document, patches, live", async () => {
    await page.click("#view");
    await page.waitForSelector("#viewer:not([hidden])", { timeout: WAIT });
    const text = () => [...document.querySelectorAll("#viewer .lines li")].map((line) => line.textContent).join("\n");
    const parsed = JSON.parse(await page.evaluate(text));
    if (!parsed[POINT] || !("status" in parsed[POINT])) throw new Error(`no ${POINT} in the document`);
    await page.waitForSelector("#viewer .lines .touched", { timeout: WAIT });
    await page.waitForSelector('#viewer .events li[data-kind="patch"]', { timeout: WAIT });
    await page.waitForFunction(() => document.querySelectorAll("#viewer .events li").length >= 5, null, { timeout: WAIT });
    const told = await page.locator('#viewer .events li[data-kind="patch"] small').first().textContent();
    if (!/ of /.test(told)) throw new Error(`bytes are told as "${told}"`);
    await page.screenshot({ path: join(shots, "document.png") });
    await page.click("#view");
    await row.waitFor({ state: "visible", timeout: WAIT });
    return told;
  });

  await check("screenshot: desktop", () => shoot(page, "desktop"));

  await check("a phone of 360 x 740 needs no horizontal scroll", async () => {
    const phone = await open({ viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
    await phone.goto(base);
    if (options.token) await enterToken(phone);
    await valuesShown(phone);
    await valueMoves(phone);
    await shoot(phone, "phone");
    const box = phone.locator(`tr[data-id="${POINT}"] .box button[type="submit"]`);
    await box.scrollIntoViewIfNeeded({ timeout: WAIT });
    const { x, width } = await box.boundingBox();
    if (x < 0 || x + width > 360) throw new Error(`the write button lies at ${x} to ${x + width}`);
    // The layout viewport of a phone grows with what is too wide, so that it is compared with the screen.
    equal(await phone.evaluate(() => document.documentElement.scrollWidth), 360, "scroll width");
    await phone.context().close();
  });

  await check("dark mode is dark, and its text light", async () => {
    const dark = await open({ viewport: { width: 1440, height: 1000 }, colorScheme: "dark" });
    await dark.goto(base);
    if (options.token) await enterToken(dark);
    await valuesShown(dark);
    await valueMoves(dark);
    const [ground, ink] = await dark.evaluate(() => {
      const { backgroundColor, color } = getComputedStyle(document.body);
      return [backgroundColor, color].map((text) => Math.max(...text.match(/\d+/g).slice(0, 3).map(Number)));
    });
    if (ground > 80 || ink < 180) throw new Error(`ground ${ground}, ink ${ink} of 255`);
    await shoot(dark, "dark");
    await dark.context().close();
  });

  if (options["restart-cmd"]) {
    await check("values come again after a restart of the gateway", async () => {
      const before = parseInt(await page.textContent("#snapshots"), 10);
      restarting = true;
      await run(options["restart-cmd"]);
      await page.waitForFunction((n) => parseInt(document.querySelector("#snapshots").textContent, 10) > n, before, { timeout: 3 * WAIT });
      await page.waitForSelector('#link[data-state="live"]', { timeout: WAIT });
      await valuesShown(page);
      await valueMoves(page);
      restarting = false;
    });
  }

  await checkComplaints(page);
} finally {
  await browser.close();
}
end();

async function enterToken(page) {
  await page.waitForSelector("#token[open]", { timeout: WAIT });
  await page.fill("#token-text", options.token);
  await page.click("#token button");
}

/** By keyboard, but for where the tree's last row lies. */
async function addAndUndo(page, connector, file) {
  const id = `${connector}.learned`;
  const inspect = page.locator(".group", { has: page.locator(`tr[data-id^="${connector}."]`) }).locator(".inspect");
  await inspect.focus();
  await page.keyboard.press("Enter");
  await page.locator("#inspect .tree summary").first().focus();
  await page.keyboard.press("Enter");
  const adds = page.locator("#inspect .tree li button");
  const deeper = page.locator("#inspect .tree li summary");
  await page.locator("#inspect .tree li .addr, #inspect .tree li summary").first().waitFor({ state: "visible", timeout: WAIT });
  if (!(await adds.count())) await deeper.last().click();
  page.once("dialog", (dialog) => dialog.accept(id));
  await adds.last().focus({ timeout: WAIT });
  await page.keyboard.press("Enter");
  await page.waitForFunction((words) => document.querySelector("#inspect .note").textContent.includes(`stands in ${words}`), file, { timeout: WAIT });
  await page.waitForFunction((added) => document.querySelector(`tr[data-id="${added}"]`), id, { timeout: WAIT });
  await page.locator("#inspect .note button").focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction((added) => !document.querySelector(`tr[data-id="${added}"]`), id, { timeout: WAIT });
  await page.keyboard.press("Escape");
  await page.waitForSelector("#inspect", { state: "hidden", timeout: WAIT });
}

function valuesShown(page) {
  return page.waitForFunction((least) => {
    const values = [...document.querySelectorAll("tr[data-id] .val")];
    return values.filter((el) => !["", "–"].includes(el.textContent)).length >= least;
  }, ROWS, { timeout: WAIT });
}

async function valueMoves(page) {
  const read = () => Object.fromEntries([...document.querySelectorAll("tr[data-id]")].map((el) => [el.dataset.id, el.querySelector(".val").textContent]));
  const before = await page.evaluate(read);
  const moved = await page.waitForFunction((then) => {
    const now = [...document.querySelectorAll("tr[data-id]")].map((el) => [el.dataset.id, el.querySelector(".val").textContent]);
    const found = now.find(([id, text]) => then[id] && then[id] !== "–" && text !== then[id]);
    return found && `${found[0]} from ${then[found[0]]} to ${found[1]}`;
  }, before, { timeout: WAIT });
  return moved.jsonValue();
}

async function shownNumber(row) {
  return parseFloat(await row.locator(".val").textContent());
}

async function writeBox(row, text) {
  await row.locator(".box input").fill(text);
  await row.locator('.box button[type="submit"]').click();
}

async function writeAndSee(page, row, number) {
  await writeBox(row, String(number));
  await page.waitForFunction(
    ([id, wanted]) => parseFloat(document.querySelector(`tr[data-id="${id}"] .val`).textContent) === wanted,
    [POINT, number], { timeout: WAIT });
  const error = row.locator('.note[data-kind="error"]');
  if (await error.isVisible()) throw new Error(await error.textContent());
}

/** A picture once some patches have come, so that it has lines in it; fewer are no fault. */
async function shoot(page, name) {
  const some = () => parseInt(document.querySelector("#counts").textContent, 10) >= 16;
  await page.waitForFunction(some, null, { timeout: WAIT }).catch(() => {});
  const path = join(shots, `${name}.png`);
  await page.screenshot({ path });
  return path;
}

function run(command) {
  return new Promise((resolve, reject) => {
    // What the command leaves running must not hold this process's pipes.
    const child = spawn(command, { shell: true, stdio: "ignore" });
    child.on("error", reject);
    child.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`the restart command exited with ${code}`))));
  });
}
