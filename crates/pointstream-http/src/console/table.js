// The table of points: one group of rows for each connector.
//
// Rows are made once and then written to. A change marks its row, and one animation frame writes
// all marked rows; ages and sparklines are drawn for the rows on screen only. Whatever comes from
// the gateway goes in as text, never as markup.

import { showChart } from "./chart.js";
import { ageText, decimals, numeric, valueText } from "./format.js";
import { clockAhead } from "./gateway.js";
import { inspect } from "./inspect.js";
import { Trend } from "./trend.js";
import { writeBox } from "./write.js";

const BASE = ["ok", "stale", "down", "fault", "disabled", "unknown"];

/** A value of more characters than this is set smaller, over the whole column. */
const LONG = 14;
/** For how long a row shows that its value has moved, rounded up to the next second's tick. */
const MOVED_SHOWN = 500;

export class Table {
  /** `onChange` is told after rows came, went, or took another status. */
  constructor(root, onChange) {
    this.root = root;
    this.onChange = onChange;
    this.rows = new Map();
    this.groups = new Map();
    this.points = new Map();
    this.connectors = [];
    this.marked = new Set();
    this.visible = new Set();
    this.words = [];
    this.status = null;
    /** The name of the group of the rows that belong to no connector. */
    this.title = "";
    this.observer = new IntersectionObserver((entries) => this.onScroll(entries), { rootMargin: "120px" });
  }

  /** What is known of points and connectors, beside their values. */
  describe(points, connectors) {
    this.points = new Map(points.map((point, order) => [point.id, { ...point, order }]));
    this.connectors = connectors;
    for (const row of this.rows.values()) this.dress(row);
    for (const group of this.groups.values()) this.dressGroup(group);
    this.layout();
  }

  setConnectors(connectors) {
    this.connectors = connectors;
    for (const group of this.groups.values()) this.dressGroup(group);
  }

  /** Brings the rows to a whole document: rows that stay keep their element and their trend. */
  load(readings) {
    const gone = new Set(this.rows.keys());
    let order = 0;
    for (const [id, reading] of readings) {
      gone.delete(id);
      const row = this.rows.get(id) ?? this.add(id);
      row.order = order++;
      this.take(row, reading);
    }
    for (const id of gone) this.remove(this.rows.get(id));
    this.layout();
  }

  has(id) {
    return this.rows.has(id);
  }

  update(id, reading) {
    const row = this.rows.get(id);
    this.take(row, reading);
  }

  /** The stream is cut: until it is back, no line says what the values were. */
  cut() {
    const now = performance.now();
    for (const row of this.rows.values()) row.trend.push(now, NaN);
  }

  /** Each second: what only time changes, for the rows on screen. */
  tick() {
    const now = performance.now();
    for (const row of this.visible) {
      this.paintAge(row);
      row.trend.draw(row.cells.path, row.cells.tip, now);
      if (now - row.moved > MOVED_SHOWN) row.el.classList.remove("moved");
    }
  }

  filter(text, status) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.status = status;
    this.sift();
  }

  add(id) {
    const el = clone("row-template");
    const find = (selector) => el.querySelector(selector);
    const cells = {
      dot: find(".dot"), name: find(".name"), id: find(".id"), val: find(".val"), unit: find(".unit"),
      path: find("path"), tip: find("circle"), age: find(".age"), status: find(".status"), write: find(".write"),
    };
    const row = { id, el, cells, places: 0, order: 0, reading: {}, trend: new Trend() };
    el.dataset.id = id;
    const trend = el.querySelector(".trend button");
    trend.setAttribute("aria-label", `Past values of ${id}`);
    trend.addEventListener("click", () => row.point && showChart(row.point));
    el.row = row;
    this.rows.set(id, row);
    this.observer.observe(el);
    this.dress(row);
    return row;
  }

  remove(row) {
    this.observer.unobserve(row.el);
    this.visible.delete(row);
    this.marked.delete(row);
    row.el.remove();
    this.rows.delete(row.id);
  }

  take(row, reading) {
    const was = row.status;
    row.reading = reading;
    row.status = String(reading.status ?? "");
    row.base = baseStatus(row.status);
    row.at = Date.parse(reading.ts);
    const number = numeric(reading.val);
    row.trend.binary = typeof reading.val === "boolean";
    row.trend.push(performance.now(), number);
    row.places = Math.max(row.places, decimals(number));
    if (this.marked.size === 0) requestAnimationFrame(() => this.flush());
    this.marked.add(row);
    if (row.status !== was) this.statusChanged = true;
  }

  flush() {
    for (const row of this.marked) this.paint(row);
    this.marked.clear();
    if (!this.statusChanged) return;
    this.statusChanged = false;
    this.sift();
    this.onChange();
  }

  paint(row) {
    const { cells, reading, el } = row;
    const text = valueText(reading.val, row.places);
    const moved = cells.val.textContent !== text;
    const first = cells.val.textContent === "";
    setText(cells.val, text);
    setText(cells.unit, reading.unit ?? row.point?.unit ?? "");
    cells.val.classList.toggle("long", text.length > LONG);
    if (el.dataset.status !== row.status) {
      el.dataset.status = row.status;
      el.dataset.base = row.base;
      setText(cells.status, statusText(row.status));
    }
    if ((reading.err ?? "") !== (row.err?.textContent ?? "")) {
      row.err ??= cells.name.parentElement.appendChild(Object.assign(document.createElement("p"), { className: "err" }));
      row.err.textContent = reading.err ?? "";
    }
    row.box?.show(reading.val);
    if (!this.visible.has(row)) return;
    this.paintAge(row);
    row.trend.draw(cells.path, cells.tip, performance.now());
    // A state for a moment and no animation, which would cost a frame of all rows at each step.
    if (moved && !first) {
      el.classList.add("moved");
      row.moved = performance.now();
    }
  }

  paintAge(row) {
    const age = Number.isNaN(row.at) ? "" : ageText(Date.now() + clockAhead - row.at);
    setText(row.cells.age, age);
  }

  /** Writes on a row what the gateway says about the point, apart from its value. */
  dress(row) {
    const point = this.points.get(row.id);
    row.point = point;
    const named = point?.dis && point.dis !== row.id;
    setText(row.cells.name, named ? point.dis : row.id);
    setText(row.cells.id, named ? row.id : "");
    row.haystack = [row.id, point?.dis, point?.unit, point?.connector, point?.kind].join(" ").toLowerCase();
    if (point?.step) row.places = Math.max(row.places, decimals(point.step));
    // The box stays while the point's limits do: someone may be typing into it.
    const form = JSON.stringify(point?.writable ? [point.kind, point.unit, point.min, point.max, point.step] : null);
    if (form === row.form) return;
    row.form = form;
    row.box = point?.writable ? writeBox(point) : null;
    row.cells.write.replaceChildren(...(row.box ? [row.box.el, row.box.note] : []));
    row.el.classList.toggle("writable", Boolean(row.box));
    row.box?.show(row.reading.val);
  }

  group(key) {
    let group = this.groups.get(key);
    if (group) return group;
    const el = clone("group-template");
    const find = (selector) => el.querySelector(selector);
    group = { key, el, head: find(".head"), rows: [], fold: find(".fold"), name: find(".name"), kind: find(".kind"),
      conn: find(".conn"), count: find(".count"), err: find(".err"), inspect: find(".inspect"), folded: folded.has(key) };
    group.fold.addEventListener("click", () => {
      group.folded = !group.folded;
      folded.keep(key, group.folded);
      this.sift();
    });
    group.inspect.addEventListener("click", () => inspect(key, group.name.textContent));
    this.groups.set(key, group);
    this.dressGroup(group);
    return group;
  }

  dressGroup(group) {
    const connector = this.connectors.find(({ id }) => id === group.key);
    const status = connector?.connStatus ?? "unknown";
    setText(group.name, connector?.dis || group.key || this.title);
    setText(group.kind, connector?.kind ?? "");
    setText(group.conn, connector ? connText(connector) : "");
    setText(group.err, connector?.connErr ?? "");
    group.err.hidden = !connector?.connErr;
    group.head.dataset.base = connector ? baseStatus(status) : "none";
    group.head.dataset.status = status;
    group.inspect.hidden = !connector;
  }

  /** Puts rows into their groups in the gateway's order, touching only what is out of place. */
  layout() {
    for (const group of this.groups.values()) group.rows = [];
    const rank = (row) => row.point?.order ?? 1e9 + row.order;
    for (const row of [...this.rows.values()].sort((a, b) => rank(a) - rank(b))) {
      this.group(row.point?.connector ?? "").rows.push(row);
    }
    const place = new Map(this.connectors.map(({ id }, i) => [id, i]));
    const groups = [...this.groups.values()];
    for (const group of groups.filter(({ rows }) => rows.length === 0)) {
      group.el.remove();
      this.groups.delete(group.key);
    }
    const shown = groups.filter(({ rows }) => rows.length > 0);
    shown.sort((a, b) => (place.get(a.key) ?? 1e9) - (place.get(b.key) ?? 1e9));
    arrange(this.root, this.root.tHead, shown.map(({ el }) => el));
    for (const group of shown) arrange(group.el, group.head, group.rows.map(({ el }) => el));
    this.sift();
    this.onChange();
  }

  /** Shows the rows that the filter admits, and counts. A filter opens folded groups. */
  sift() {
    const sifting = this.words.length > 0 || this.status !== null;
    this.counts = Object.fromEntries(BASE.map((base) => [base, 0]));
    this.shown = 0;
    for (const group of this.groups.values()) {
      const bad = {};
      let admitted = 0;
      for (const row of group.rows) {
        if (row.base in this.counts) this.counts[row.base] += 1;
        if (row.base !== "ok" && row.base !== "none") bad[row.base] = (bad[row.base] ?? 0) + 1;
        const admits = (this.status === null || row.base === this.status)
          && this.words.every((word) => row.haystack.includes(word));
        if (admits) admitted += 1;
        setHidden(row.el, !admits || (group.folded && !sifting));
      }
      this.shown += admitted;
      setHidden(group.el, admitted === 0);
      group.fold.setAttribute("aria-expanded", String(!group.folded || sifting));
      const all = group.rows.length;
      const notes = Object.entries(bad).map(([base, count]) => `${count} ${base}`);
      setText(group.count, [countText(admitted, all), ...notes].join(", "));
    }
  }

  onScroll(entries) {
    const now = performance.now();
    for (const { target, isIntersecting } of entries) {
      const row = target.row;
      if (!isIntersecting || !this.rows.has(row.id)) {
        this.visible.delete(row);
        continue;
      }
      this.visible.add(row);
      this.paintAge(row);
      row.trend.draw(row.cells.path, row.cells.tip, now);
    }
  }
}

/** The groups that the user has folded, kept for the tab's life. */
const folded = {
  keys: new Set(JSON.parse(sessionStorage.getItem("pointstream.folded") ?? "[]")),
  has(key) {
    return this.keys.has(key);
  },
  keep(key, on) {
    this.keys[on ? "add" : "delete"](key);
    sessionStorage.setItem("pointstream.folded", JSON.stringify([...this.keys]));
  },
};

/** The local status that a remote one pairs with; what is not known counts as unknown. */
function baseStatus(status) {
  if (status === "") return "none";
  const local = status.replace(/^remote/, "").toLowerCase();
  return BASE.includes(local) ? local : "unknown";
}

export function countText(shown, all) {
  return `${shown === all ? "" : `${shown} of `}${all} ${all === 1 ? "point" : "points"}`;
}

function statusText(status) {
  return status.replace(/^remote(.*)$/, (_, rest) => `remote ${rest.toLowerCase()}`);
}

function connText({ connState, connStatus }) {
  if (connState && connStatus === "ok") return connState;
  return [connState, statusText(connStatus ?? "unknown")].filter(Boolean).join(", ");
}

function clone(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

function setText(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

function setHidden(el, hidden) {
  if (el.hidden !== hidden) el.hidden = hidden;
}

/** Makes `children` follow `first` in `parent`; an element in its place is not moved, and keeps its focus. */
function arrange(parent, first, children) {
  let after = first;
  for (const el of children) {
    if (after.nextElementSibling !== el) parent.insertBefore(el, after.nextElementSibling);
    after = el;
  }
}
