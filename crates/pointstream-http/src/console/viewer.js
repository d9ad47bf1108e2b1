// The topic as it is: its document line by line, what the last patch touched, and the latest
// events with what they took against the whole document.

import { bytesText } from "./format.js";

/** A document has no more lines than this on the page; the rest is counted. */
const LINES = 2000;
const EVENTS = 20;
/** The document is drawn again after this many milliseconds at the earliest. */
const DRAW_EVERY = 250;
const TEXT = 400;

export class Viewer {
  constructor(section) {
    this.section = section;
    this.lines = section.querySelector(".lines");
    this.events = section.querySelector(".events");
    this.template = document.getElementById("event-template");
    this.timer = null;
    this.touched = new Set();
    this.held = undefined;
  }

  get shown() {
    return !this.section.hidden;
  }

  show(shown) {
    if (this.shown === shown) return;
    this.section.hidden = !shown;
    if (shown) this.draw();
  }

  reset() {
    this.held = undefined;
    this.touched.clear();
    this.events.replaceChildren();
    this.lines.replaceChildren();
  }

  /** An event of the stream: `held` is the document after it, `size` that document's bytes. */
  take(event, held, size, patch) {
    this.held = held;
    if (!patch) this.touched.clear();
    for (const { path } of patch ?? []) this.touched.add(path);
    this.list(event, size, patch);
    if (this.shown && !this.timer) this.timer = setTimeout(() => this.draw(), DRAW_EVERY);
  }

  list(event, size, patch) {
    const row = this.template.content.firstElementChild.cloneNode(true);
    const [when, kind, bytes, body] = row.querySelectorAll("time, b, small, code");
    const now = new Date();
    when.dateTime = now.toISOString();
    when.textContent = now.toLocaleTimeString();
    kind.textContent = event.type === "patch" ? "patch" : "data";
    row.dataset.kind = kind.textContent;
    const length = event.data.length;
    bytes.textContent = patch ? `${bytesText(length)} of ${bytesText(size)}` : bytesText(length);
    body.textContent = event.data.length > TEXT ? `${event.data.slice(0, TEXT)}…` : event.data;
    this.events.prepend(row);
    while (this.events.children.length > EVENTS) this.events.lastChild.remove();
  }

  draw() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.held === undefined) return;
    const lines = [];
    const count = write(this.held, "", "", 0, "", lines, 0);
    const nodes = lines.map(({ path, depth, key, text }) => {
      const line = document.createElement("li");
      line.style.setProperty("--depth", depth);
      line.dataset.path = path;
      if (key) line.append(span("key", key), ": ");
      line.append(span("literal", text));
      if (this.isTouched(path)) line.classList.add("touched");
      return line;
    });
    if (count > LINES) {
      const rest = document.createElement("li");
      rest.className = "rest";
      rest.textContent = `and ${count - LINES} more lines`;
      nodes.push(rest);
    }
    this.lines.replaceChildren(...nodes);
    this.touched.clear();
  }

  /** Whether a change was at this value or around it. */
  isTouched(path) {
    if (this.touched.size === 0) return false;
    for (let at = path; ; at = at.slice(0, at.lastIndexOf("/"))) {
      if (this.touched.has(at)) return true;
      if (at === "") return false;
    }
  }
}

/** Adds the lines of a value, as far as they are shown; answers how many there are, with `count`. */
function write(value, path, key, depth, comma, lines, count) {
  const push = (text, own) => {
    count += 1;
    if (count <= LINES) lines.push({ path, depth, key: own, text });
  };
  if (value === null || typeof value !== "object" || Object.keys(value).length === 0) {
    push(JSON.stringify(value) + comma, key);
    return count;
  }
  const list = Array.isArray(value);
  push(list ? "[" : "{", key);
  const entries = Object.entries(value);
  for (const [at, [name, member]] of entries.entries()) {
    const deeper = `${path}/${escape(name)}`;
    const next = at < entries.length - 1 ? "," : "";
    count = write(member, deeper, list ? "" : JSON.stringify(name), depth + 1, next, lines, count);
  }
  push((list ? "]" : "}") + comma, "");
  return count;
}

function escape(token) {
  return token.replaceAll("~", "~0").replaceAll("/", "~1");
}

function span(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}

/** Whether a document is made of points, for which there is a table. */
export function isPoints(held) {
  if (held === null || typeof held !== "object" || Array.isArray(held)) return false;
  const rows = Object.values(held);
  return rows.some((row) => row !== null && typeof row === "object" && "status" in row) || rows.length === 0;
}
