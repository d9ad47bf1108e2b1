// Past values of one point in a dialog, drawn from about as many buckets as the chart has pixels.
// Drag or the arrow keys move it, the wheel or + and - zoom.

import { request } from "./gateway.js";

const SPANS = { hour: 3_600e3, day: 86_400e3, week: 604_800e3, month: 30 * 86_400e3, year: 365 * 86_400e3 };
const SPAN_MIN = 60e3;
const SPAN_MAX = 20 * SPANS.year;
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
  const by = ((x - event.clientX) / cells.svg.clientWidth) * (to - from);
  show(from + by, to + by);
});
cells.svg.addEventListener("pointerup", () => (open.drag = null));
cells.svg.addEventListener("pointercancel", () => (open.drag = null));
cells.svg.addEventListener("keydown", (event) => {
  const by = (open.to - open.from) / 10;
  if (event.key === "ArrowLeft") show(open.from - by, open.to - by);
  else if (event.key === "ArrowRight") show(open.from + by, open.to + by);
  else if (event.key === "+") zoom(0.8, 0.5);
  else if (event.key === "-") zoom(1.25, 0.5);
  else return;
  event.preventDefault();
});
dialog.addEventListener("close", () => (open = null));

/** Shows the past values of `point`. */
export function showChart(point) {
  open = { point, from: 0, to: 0, rows: [], drag: null, asking: false, again: false };
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

function show(from, to) {
  Object.assign(open, { from, to });
  const text = (time) => new Date(time).toLocaleString();
  cells.from.textContent = text(from);
  cells.to.textContent = text(to);
  draw();
  load(open);
}

/** Asks for what is shown; what is moved meanwhile is asked for once that has come. */
async function load(shown) {
  if (shown.asking) return (shown.again = true);
  shown.asking = true;
  do {
    shown.again = false;
    const range = [shown.from, shown.to].map((time) => new Date(time).toISOString()).join();
    const path = `v1/points/${encodeURIComponent(shown.point.id)}/his?range=${encodeURIComponent(range)}`;
    const buckets = Math.max(50, Math.round(cells.svg.clientWidth) || 600);
    try {
      const { body } = await request(`${path}&buckets=${buckets}`);
      shown.rows = body.rows.map((row) => ({ ...row, at: Date.parse(row.ts) }));
      if (open !== shown) return;
      cells.note.textContent = shown.rows.length ? "" : "There is nothing in this range.";
      cells.file.href = new URL(`${path}&format=csv&limit=1000000`, document.baseURI).href;
    } catch (error) {
      shown.rows = [];
      if (open === shown) cells.note.textContent = error.message;
    }
    if (open === shown) draw();
  } while (shown.again && open === shown);
  shown.asking = false;
}

function draw() {
  const width = cells.svg.clientWidth || 600;
  cells.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const { from, to, rows } = open;
  const numbers = rows.filter(({ mean }) => mean !== null && mean !== undefined);
  const low = Math.min(...numbers.map(({ min }) => min));
  const high = Math.max(...numbers.map(({ max }) => max));
  const range = high - low || 1;
  const x = (time) => (((time - from) / (to - from)) * width).toFixed(1);
  const y = (value) => (HEIGHT - EDGE - ((value - low) / range) * (HEIGHT - 2 * EDGE)).toFixed(1);
  // A hole of many buckets is a hole, and no line goes over it.
  const step = numbers.length > 1 ? Math.max(...numbers.slice(1, 50).map((row, at) => row.at - numbers[at].at)) : 0;
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
