// Fetching the histories that a connector's device keeps: begun, followed and cancelled. A job goes on
// when nobody looks, and is found again.

import { follow, request } from "./gateway.js";

const FAILED_MAX = 100;

export class Fetching {
  constructor(form) {
    const find = (selector) => form.querySelector(selector);
    this.cells = { form, begin: find("[type=submit]"), range: find("select"), progress: find("progress"), text: find("output"),
      cancel: find(".cancel"), failed: find(".failed") };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.begin();
    });
    this.cells.cancel.addEventListener("click", () => this.cancel());
    this.connector = null;
    this.source = null;
    /** The jobs that were begun here, by connectors. */
    this.jobs = new Map();
  }

  /** Shows the form for a connector whose device keeps histories. */
  async show(connector) {
    this.leave();
    this.connector = connector;
    this.idle("");
    this.cells.form.hidden = true;
    const filter = encodeURIComponent(`hisStatus and connector == "${connector}"`);
    const kept = await request(`v1/points?limit=1&filter=${filter}`).catch(() => ({ body: [] }));
    if (this.connector !== connector) return;
    this.cells.form.hidden = kept.body.length === 0;
    const job = this.jobs.get(connector);
    if (job) this.follow(job);
  }

  leave() {
    this.source?.close();
    this.source = null;
    this.connector = null;
  }

  async begin() {
    const { connector } = this;
    const range = this.cells.range.value || undefined;
    const tz = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const body = JSON.stringify({ connector, range, tz: range && tz });
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body };
    try {
      const { body: job } = await request("v1/his/sync", options);
      this.jobs.set(connector, job.id);
      if (this.connector === connector) this.follow(job.id);
    } catch (error) {
      if (this.connector === connector) this.cells.text.textContent = error.message;
    }
  }

  cancel() {
    const job = this.jobs.get(this.connector);
    request(`v1/his/sync/${job}`, { method: "DELETE" }).catch((error) => (this.cells.text.textContent = error.message));
  }

  follow(job) {
    this.source?.close();
    this.cells.failed.replaceChildren();
    this.source = follow(`v1/his/sync/${job}`, "sync", (view) => this.take(view));
  }

  take({ state, total, done, failed, items, results }) {
    const { form, begin, progress, text, cancel, failed: list } = this.cells;
    form.dataset.state = state;
    Object.assign(progress, { max: total, value: done, hidden: false });
    begin.disabled = state === "running";
    cancel.hidden = state !== "running";
    const words = { running: "", done: "Done: ", cancelled: "Cancelled: ", broken: "Broken off: " };
    const wrong = failed ? `, ${failed} failed` : "";
    text.textContent = `${words[state]}${done} of ${total} points, ${items.toLocaleString()} values${wrong}`;
    for (const { id, err } of results.filter((row) => row.err)) {
      if (list.childElementCount < FAILED_MAX) {
        list.append(Object.assign(document.createElement("li"), { textContent: `${id}: ${err}` }));
      }
    }
    if (state === "running") return;
    this.source?.close();
    this.source = null;
  }

  idle(words) {
    const { begin, progress, text, cancel, failed } = this.cells;
    begin.disabled = false;
    progress.hidden = true;
    cancel.hidden = true;
    text.textContent = words;
    failed.replaceChildren();
  }
}
