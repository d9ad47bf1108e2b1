// The priority array of one point, in a dialog: who wants what at which level, what is in effect, and
// a form to write a level or release it. It is asked for again every two seconds while it is open.

import { valueText } from "./format.js";
import { levels, write } from "./gateway.js";
import { dressInput, inputValue } from "./write.js";

const REFRESH = 2000;
const WHO = "console";
/** The level for people, which alone may be written for a time. */
const MANUAL = 8;
const TIMES = [["", "until released"], ["10min", "10 minutes"], ["1hr", "1 hour"], ["8hr", "8 hours"], ["1day", "1 day"]];

const dialog = document.getElementById("levels");
const find = (selector) => dialog.querySelector(selector);
const cells = {
  title: find("h2"), effective: find(".effective"), rows: find("tbody"), form: find(".put"), level: find("#put-level"),
  value: find("#put-value"), time: find("#put-time"), timeBox: find("#put-time-box"), note: find(".note"),
};
let open = null;

cells.time.replaceChildren(...TIMES.map(([value, text]) => option(value, text)));
cells.level.addEventListener("change", showTime);
cells.form.addEventListener("submit", (event) => {
  event.preventDefault();
  const input = cells.value.firstElementChild;
  const val = input.matches("select") ? input.value === "true" : inputValue(input, open.point.kind);
  if (val === undefined) return say("error", open.point.kind === "Number" ? "Enter a number." : "Enter a date and time.");
  const level = Number(cells.level.value);
  put({ val, level, ...(level === MANUAL && cells.time.value ? { duration: cells.time.value } : {}) });
});
dialog.addEventListener("close", () => {
  clearTimeout(open?.timer);
  open = null;
});

/** Shows the levels of `point`. */
export function showLevels(point) {
  clearTimeout(open?.timer);
  open = { point, timer: null };
  cells.title.textContent = point.dis || point.id;
  cells.rows.replaceChildren();
  cells.effective.textContent = "";
  cells.value.replaceChildren(entry(point));
  say("", "");
  if (!dialog.open) dialog.showModal();
  refresh(open);
}

async function refresh(shown) {
  try {
    const { body } = await levels(shown.point.id);
    if (open !== shown) return;
    paint(body);
  } catch (error) {
    if (open !== shown) return;
    say("error", error.status ? error.message : "The gateway did not answer.");
  }
  shown.timer = setTimeout(() => refresh(shown), REFRESH);
}

function paint(array) {
  const unit = open.point.unit ? ` ${open.point.unit}` : "";
  const at = array.levels.find(({ level }) => level === array.writeLevel);
  const status = [array.writeStatus, array.writeErr].filter(Boolean).join(": ");
  const none = array.writeVal === null;
  cells.effective.textContent = none
    ? "No level has a value."
    : `In effect: ${at.valDis || valueText(array.writeVal)}${unit} at ${at.levelDis}${status ? `, device ${status}` : ""}.`;
  const known = array.levels.filter(({ val, who }) => val !== null || who);
  cells.rows.replaceChildren(...known.map((row) => line(row, row.level === array.writeLevel && !none, unit)));
  if (cells.level.childElementCount === 0) {
    cells.level.replaceChildren(...array.levels.map(({ level, levelDis }) => option(level, levelDis)));
    cells.level.value = String(MANUAL);
    showTime();
  }
}

function line({ level, levelDis, val, valDis, who, expires }, inEffect, unit) {
  const el = document.createElement("tr");
  el.dataset.level = level;
  el.classList.toggle("effective", inEffect);
  const released = val === null;
  const left = expires === undefined ? "" : ` for ${Math.ceil(expires / 60)} min`;
  for (const text of [levelDis, released ? "released" : `${valDis || valueText(val)}${unit}`, `${who ?? ""}${left}`]) {
    el.append(Object.assign(document.createElement("td"), { textContent: text }));
  }
  const last = el.appendChild(document.createElement("td"));
  if (!released) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "plain", textContent: "Release" });
    button.setAttribute("aria-label", `Release level ${levelDis}`);
    button.addEventListener("click", () => put({ val: null, level }));
    last.append(button);
  }
  return el;
}

async function put(body) {
  const shown = open;
  say("pending", "Writing…");
  try {
    const { body: written } = await write(shown.point.id, { ...body, who: WHO });
    if (open !== shown) return;
    const hidden = body.val !== null && written.writeLevel !== written.level;
    say("ok", hidden ? "Written. A stronger level is in effect." : written.waits ? "Written. It waits for its turn." : "Written.");
  } catch (error) {
    if (open === shown) say("error", error.status ? error.message : "The gateway did not answer. The value may not be written.");
  }
  if (open !== shown) return;
  clearTimeout(shown.timer);
  refresh(shown);
}

/** What the user enters a value in: a choice for a Bool, else an input made for the kind. */
function entry(point) {
  if (point.kind === "Bool") {
    const select = document.createElement("select");
    select.append(option("true", "true"), option("false", "false"));
    select.setAttribute("aria-label", "Value");
    return select;
  }
  const input = document.createElement("input");
  dressInput(input, null, point, point.dis || point.id);
  return input;
}

function showTime() {
  cells.timeBox.hidden = Number(cells.level.value) !== MANUAL;
}

function say(kind, text) {
  cells.note.dataset.kind = kind;
  cells.note.textContent = text;
}

function option(value, textContent) {
  return Object.assign(document.createElement("option"), { value, textContent });
}
