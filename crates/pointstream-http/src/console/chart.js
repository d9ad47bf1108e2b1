// Past values of one point in a dialog, drawn from about as many buckets as the chart has pixels.
// Drag or the arrow keys move it, the wheel or + and - zoom. Half a width to either side is asked for
// along with what is shown, so that a move is drawn at once; a frame draws once, whatever moved.

import { download, request } from "./gateway.js";

const SPANS = { hour: 3_600e3, day: 86_400e3, week: 604_800e3, month: 30 * 86_400e3, year: 365 * 86_400e3 };
const SPAN_MIN = 60e3;
const SPAN_MAX = 20 * SPANS.year;
/** How much of what is shown is there besides, to either side. */
const MARGIN = 0.5;
/** For so long what was asked for shows the present. */
const FRESH = 1000;
const HEIGHT = 260;
const EDGE = 12;

const dialog = document.getElementById("chart");
const find = (selector) => dialog.querySelector(selector);
const cells = {
  title: find("h2"), svg: find("svg"), band: find(".band"), line: find(".mean"), low: find(".low"), high: find(".high"),
  from: find(".from"), to: find(".to"), note: find(".note"), file: find(".file"),
};
let open = null;

for (const button of dialog.querySelectorAll("[data-span]")) {
  button.addEventListener("click", () => show(Date.now() - SPANS[button.dataset.span], Date.now()));
}
cells.svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(event.deltaY > 0 ? 1.25 : 0.8, event.offsetX / cells.svg.clientWidth);
}, { passive: false });
cells.svg.addEventListener("pointerdown", (event) => {
  cells.svg.setPointerCapture(event.pointerId);
  open.drag = { x: event.clientX, from: open.from, to: open.to };
});
cells.svg.addEventListener("pointermove", (event) => {
  if (!open?.drag) return;
  const { x, from, to } = open.drag;
  move(from, to, ((x - event.clientX) / cells.svg.clientWidth) * (to - from));
});
for (const name of ["pointerup", "pointercancel"]) {
  cells.svg.addEventListener(name, () => open && (open.drag = null));
}
cells.svg.addEventListener("keydown", (event) => {
  const by = (open.to - open.from) / 10;
  if (event.key === "ArrowLeft") move(open.from, open.to, -by);
  else if (event.key === "ArrowRight") move(open.from, open.to, by);
  else if (event.key === "+") zoom(0.8, 0.5);
  else if (event.key === "-") zoom(1.25, 0.5);
  else return;
  event.preventDefault();
});
dialog.addEventListener("close", () => (open = null));
cells.file.addEventListener("click", () => {
  const csv = `${path(open, open.from, open.to)}&format=csv&limit=1000000`;
  download(csv, `${open.point.id}.csv`).catch((error) => say(error.message));
});

/** Shows the past values of `point`. */
export function showChart(point) {
  open = { point, from: 0, to: 0, rows: [], has: null, drag: null, asking: false, again: false, frame: 0 };
  cells.title.textContent = `${point.dis || point.id}${point.unit ? `, ${point.unit}` : ""}`;
  cells.note.textContent = "";
  if (!dialog.open) dialog.showModal();
  show(Date.now() - SPANS.day, Date.now());
}

function zoom(by, at) {
  const { from, to } = open;
  const span = Math.min(SPAN_MAX, Math.max(SPAN_MIN, (to - from) * by));
  const fixed = from + at * (to - from);
  show(fixed - at * span, fixed + (1 - at) * span);
}

/** By whole milliseconds, so that the span stays what it was, and with it where buckets begin. */
function move(from, to, by) {
  show(from + Math.round(by), to + Math.round(by));
}

function show(from, to) {
  Object.assign(open, { from: Math.round(from), to: Math.round(to) });
  const shown = open;
  shown.frame ||= requestAnimationFrame(() => {
    shown.frame = 0;
    if (open === shown) draw();
  });
  if (!isThere(open)) load(open);
}

/** Whether what came last covers what is shown, as finely as it is shown. The present goes on. */
function isThere({ from, to, has }) {
  const isPast = has !== null && (to <= has.asked || Date.now() - has.asked < FRESH);
  return isPast && has.span === to - from && has.from <= from && to <= has.to;
}

/** Asks for what is shown; what is moved meanwhile is asked for once that has come. */
async function load(shown) {
  if (shown.asking) return (shown.again = true);
  shown.asking = true;
  do {
    shown.again = false;
    const span = shown.to - shown.from;
    const has = { span, asked: Date.now(), from: Math.round(shown.from - MARGIN * span), to: Math.round(shown.to + MARGIN * span) };
    const width = Math.max(50, Math.round(cells.svg.clientWidth) || 600);
    try {
      const { body } = await request(`${path(shown, has.from, has.to)}&buckets=${Math.round(width * (1 + 2 * MARGIN))}`);
      if (open !== shown) return;
      Object.assign(shown, { has, rows: body.rows.map((row) => ({ ...row, at: Date.parse(row.ts) })) });
      say("");
    } catch (error) {
      Object.assign(shown, { has: null, rows: [] });
      if (open === shown) say(error.message);
    }
    if (open === shown) draw();
  } while (shown.again && open === shown && !isThere(shown));
  shown.asking = false;
}

function path({ point }, from, to) {
  const range = [from, to].map((time) => new Date(time).toISOString()).join();
  return `v1/points/${encodeURIComponent(point.id)}/his?range=${encodeURIComponent(range)}`;
}

function say(text) {
  if (cells.note.textContent !== text) cells.note.textContent = text;
}

function draw() {
  const width = cells.svg.clientWidth || 600;
  cells.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const { from, to, has } = open;
  const text = (time) => new Date(time).toLocaleString();
  cells.from.textContent = text(from);
  cells.to.textContent = text(to);
  // A bucket that begins before what is shown reaches into it.
  const reach = has ? (has.to - has.from) / (width * (1 + 2 * MARGIN)) : 0;
  const numbers = open.rows.filter(({ mean, at }) => mean !== null && mean !== undefined && at >= from - 2 * reach && at <= to + reach);
  if (has !== null && has.from <= from && to <= has.to) say(numbers.length ? "" : "There is nothing in this range.");
  const low = Math.min(...numbers.map(({ min }) => min));
  const high = Math.max(...numbers.map(({ max }) => max));
  const range = high - low || 1;
  const x = (time) => (((time - from) / (to - from)) * width).toFixed(1);
  const y = (value) => (HEIGHT - EDGE - ((value - low) / range) * (HEIGHT - 2 * EDGE)).toFixed(1);
  // What lasts much longer than the usual step is a hole, and no line goes over it.
  const steps = numbers.slice(1).map((row, at) => row.at - numbers[at].at).sort((a, b) => a - b);
  const step = steps[Math.floor(steps.length / 2)] ?? 0;
  let line = "";
  let band = "";
  let last = -Infinity;
  for (const row of numbers) {
    line += `${row.at - last > 4 * step ? "M" : "L"}${x(row.at)} ${y(row.mean)}`;
    band += `M${x(row.at)} ${y(row.min)}V${y(row.max)}`;
    last = row.at;
  }
  cells.line.setAttribute("d", line);
  cells.band.setAttribute("d", band);
  cells.low.textContent = numbers.length ? String(+low.toPrecision(6)) : "";
  cells.high.textContent = numbers.length ? String(+high.toPrecision(6)) : "";
}
