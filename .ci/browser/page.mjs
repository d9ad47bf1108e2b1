// What checks in a headless Chromium have in common: its start, pages whose complaints are collected,
// and a line for each check. CHROMIUM names the browser, /usr/bin/chromium by default.

import { chromium } from "playwright-core";

/** How long anything that a person would wait for may take. */
export const WAIT = 20_000;

const complaints = [];
let failed = 0;

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

/** A page in a context of its own. What it complains of is a fault unless `expected` says that it is not. */
export async function openPage(browser, settings, expected = () => false) {
  const context = await browser.newContext(settings);
  await context.addInitScript(() => {
    globalThis.violations = [];
    addEventListener("securitypolicyviolation", (event) => {
      globalThis.violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
    });
  });
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    const home = page.url() === "about:blank" ? origin : new URL(page.url()).origin;
    if (protocol !== "data:" && origin !== home) complaints.push(`${request.url()} is no file of the gateway`);
  });
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    const { url } = message.location();
    if (!expected({ text: message.text(), url })) complaints.push(`${message.text()} (${url})`);
  });
  return page;
}

export async function check(name, body) {
  try {
    const detail = await body();
    console.log(`ok    ${name}${typeof detail === "string" ? `: ${detail}` : ""}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}: ${error.message.split("\n")[0]}`);
  }
}

export function checkComplaints(page) {
  return check("no console error, nothing from elsewhere, no violation of the content policy", async () => {
    const violations = await page.evaluate(() => globalThis.violations);
    const all = [...complaints, ...violations];
    if (all.length > 0) throw new Error(all.join(" | "));
  });
}

export function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what} is ${actual}, not ${expected}`);
}

/** Ends the program; the exit code is 0 where all checks hold. */
export function end() {
  console.log(failed === 0 ? "all checks hold" : `${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}
