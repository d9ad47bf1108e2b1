// One connector in a dialog: what it knows about itself, what it and its device say to one another,
// and the tree of its device. The first is asked for again every two seconds while it is open.

import { valueText } from "./format.js";
import { Fetching } from "./fetching.js";
import { details, follow, request } from "./gateway.js";

const REFRESH = 2000;
/** How many lines of the trace are shown; the gateway keeps no more. */
const LINES_MAX = 500;

const dialog = document.getElementById("inspect");
const find = (selector) => dialog.querySelector(selector);
const cells = {
  title: find("h2"), note: find(".note"), details: find(".details"), lines: find(".lines"), tracing: find("#tracing"),
  tree: find(".tree"),
};
let open = null;
const fetching = new Fetching(find(".fetch"));

for (const button of dialog.querySelectorAll("[data-act]")) {
  button.addEventListener("click", () => act(button.dataset.act));
}
cells.tracing.addEventListener("change", () => switchTrace(cells.tracing.checked));
dialog.addEventListener("close", () => {
  clearTimeout(open?.timer);
  open?.source?.close();
  fetching.leave();
  open = null;
});

/** Shows the connector of this id. */
export function inspect(id, dis) {
  clearTimeout(open?.timer);
  open?.source?.close();
  open = { id, timer: null, source: null };
  cells.title.textContent = dis || id;
  cells.details.textContent = "";
  cells.lines.replaceChildren();
  cells.tracing.checked = false;
  cells.tree.replaceChildren(branch(id, null, "Device"));
  say("");
  fetching.show(id);
  if (!dialog.open) dialog.showModal();
  refresh(open);
  open.source = follow(`v1/connectors/${encodeURIComponent(id)}/trace`, "trace", onTrace);
}

async function refresh(shown) {
  try {
    const text = await details(shown.id);
    if (open === shown) cells.details.textContent = text;
  } catch (error) {
    if (open === shown) say(error.message);
  }
  if (open === shown) shown.timer = setTimeout(() => refresh(shown), REFRESH);
}

async function act(name) {
  const { id } = open;
  await request(`v1/connectors/${encodeURIComponent(id)}/${name}`, { method: "POST" }).then(
    () => say(`${name}: the connector has heard of it.`),
    (error) => say(error.message),
  );
}

async function switchTrace(on) {
  const headers = { "Content-Type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify({ on }) };
  await request(`v1/connectors/${encodeURIComponent(open.id)}/trace`, options).catch((error) => say(error.message));
  if (!on) cells.lines.replaceChildren();
}

function onTrace({ on, missed, entries }) {
  cells.tracing.checked = on;
  const atEnd = cells.lines.scrollHeight - cells.lines.scrollTop - cells.lines.clientHeight < 40;
  if (missed && cells.lines.childElementCount) cells.lines.append(row("", "", `${missed} entries went by unseen`, ""));
  for (const { ts, type, msg, hex } of entries) cells.lines.append(row(ts.slice(11, 23), type, msg, hex ?? ""));
  while (cells.lines.childElementCount > LINES_MAX) cells.lines.firstElementChild.remove();
  if (atEnd) cells.lines.scrollTop = cells.lines.scrollHeight;
}

function row(ts, type, msg, hex) {
  const el = document.createElement("li");
  el.dataset.type = type;
  el.append(span("ts", ts), span("type", type), span("msg", msg));
  if (hex) el.append(span("hex", hex));
  return el;
}

/** A place of the tree, whose rows are asked for when it is opened first. */
function branch(id, at, name) {
  const el = document.createElement("details");
  const head = document.createElement("summary");
  head.textContent = name;
  const list = document.createElement("ul");
  el.append(head, list);
  el.addEventListener("toggle", async () => {
    if (!el.open || list.childElementCount) return;
    list.replaceChildren(item("Asking the device …"));
    const query = at === null ? "" : `?at=${encodeURIComponent(at)}`;
    try {
      const { body } = await request(`v1/connectors/${encodeURIComponent(id)}/learn${query}`);
      list.replaceChildren(...body.rows.map((found) => place(id, found)));
      if (body.cut) list.append(item("There are more, which are left out."));
      if (!body.rows.length) list.append(item("Nothing is here."));
    } catch (error) {
      list.replaceChildren();
      el.open = false;
      say(error.message);
    }
  });
  return el;
}

function place(id, found) {
  const el = document.createElement("li");
  const { dis, learn, cur, write, kind, unit, val } = found;
  if (learn) el.append(branch(id, learn, dis));
  if (cur || write) {
    const add = Object.assign(document.createElement("button"), { type: "button", className: "plain", textContent: "Add" });
    add.addEventListener("click", () => addPoint(id, found, add));
    const value = val === undefined ? "" : `${valueText(val)} ${unit ?? ""}`.trim();
    el.append(span("dis", learn ? "" : dis), span("addr", cur ?? write), span("type", kind ?? ""), span("val", value), add);
  } else if (!learn) el.append(span("dis", dis));
  return el;
}

/** Adds a point of the tree to the connector, in its point file if it has one, else in the configuration file. */
async function addPoint(connector, { dis, cur, write, his, kind, unit }, button) {
  const words = dis.toLowerCase().split(/[^a-z0-9]+/).filter(Boolean);
  const name = words.map((word, at) => (at ? word[0].toUpperCase() + word.slice(1) : word)).join("");
  const chosen = prompt(`Add ${cur ?? write} to ${connector} under the id`, `${connector}.${name}`);
  if (!chosen) return;
  const point = { id: chosen.trim(), dis, kind: kind ?? "Number", unit, cur, write, his };
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ points: [point] }) };
  try {
    const { body: { to } } = await request(`v1/connectors/${encodeURIComponent(connector)}/points`, options);
    button.disabled = true;
    button.textContent = "Added";
    const file = to === "pointFile" ? "the connector's point file" : "the configuration file";
    say(`${point.id} stands in ${file}; the version before is kept beside it. `);
    const undo = Object.assign(document.createElement("button"), { type: "button", className: "plain", textContent: "Undo" });
    undo.addEventListener("click", async () => {
      const place = to === "pointFile" ? `connectors/${encodeURIComponent(connector)}/points` : "config";
      await request(`v1/${place}/restore`, { method: "POST" }).then(
        () => say("The file is as it was before."), (error) => say(error.message));
    });
    cells.note.append(undo);
  } catch (error) {
    say(error.message);
  }
}

function item(text) {
  return Object.assign(document.createElement("li"), { textContent: text });
}

function span(className, textContent) {
  return Object.assign(document.createElement("span"), { className, textContent });
}

function say(text) {
  cells.note.textContent = text;
}
