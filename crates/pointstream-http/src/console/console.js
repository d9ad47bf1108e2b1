// The console: joins the event stream, the lists of points and connectors, and the page.

import { onTokenNeeded, points, request, Stream } from "./gateway.js";
import { Meters, textBytes } from "./meters.js";
import { apply, tokens } from "./patch.js";
import { countText, Table } from "./table.js";
import { isPoints, Viewer } from "./viewer.js";

const CONNECTORS_EVERY = 5000;
const DETAILS_AFTER = 400;

const find = (id) => document.getElementById(id);
const table = new Table(find("table"), onTableChange);
const meters = new Meters(find);
const viewer = new Viewer(find("viewer"));

let topic = null;
let stream = null;
let linkState = "";
let refusal = "";
let lost = false;
/** The topic's document and the size of its text; null until the first event. */
let held = null;
let size = 0;
let described = false;
let detailsTimer = null;
let connectorsTimer = null;
let status = null;
/** Whether the document is shown rather than the table: as the user chose, else as it suits. */
let asDocument = null;

start();

async function start() {
  onTokenNeeded(askToken);
  find("reconnect").addEventListener("click", () => (stream ? stream.open() : loadTopics()));
  find("topic").addEventListener("change", (event) => (location.hash = `topic=${event.target.value}`));
  find("filter").addEventListener("input", sift);
  find("view").addEventListener("click", () => {
    asDocument = !viewer.shown;
    showView();
  });
  addEventListener("keydown", onKey);
  addEventListener("hashchange", openTopic);
  addEventListener("online", () => stream?.open());
  addEventListener("pageshow", (event) => event.persisted && stream?.open());
  new ResizeObserver(([{ target }]) => {
    document.documentElement.style.setProperty("--bar", `${target.offsetHeight}px`);
  }).observe(find("bar"));
  setInterval(tick, 1000);
  setInterval(() => linkState === "live" && !document.hidden && loadConnectors(), CONNECTORS_EVERY);
  await loadTopics();
}

async function loadTopics() {
  showLink("connecting");
  try {
    const { body } = await request("v1/topics");
    // What the gateway says of itself is no table of points.
    const ids = body.map(({ id }) => id).filter((id) => !id.startsWith("pointstream:"));
    find("topic").replaceChildren(...ids.map((id) => new Option(id, id)));
    find("topic-box").hidden = ids.length < 2;
    // Without them there are values still; the connectors' next turn asks again.
    await loadDetails().catch(() => {});
    openTopic();
  } catch {
    showLink("waiting", { delay: 2000 });
    setTimeout(loadTopics, 2000);
  }
}

function openTopic() {
  const ids = [...find("topic").options].map(({ value }) => value);
  const wanted = new URLSearchParams(location.hash.slice(1)).get("topic");
  const id = ids.includes(wanted) ? wanted : ids.includes("plant") ? "plant" : ids[0];
  if (id === undefined) return showEmpty("This gateway publishes no topic yet.");
  if (id === topic) return;
  stream?.close();
  topic = id;
  held = null;
  find("topic").value = id;
  document.title = `${id} – pointstream`;
  meters.reset();
  viewer.reset();
  asDocument = null;
  table.title = id;
  table.load([]);
  showEmpty("Waiting for the first values.");
  stream = new Stream(id, { document: onDocument, patch: onPatch, state: showLink });
}

function onDocument(event) {
  const first = meters.snapshots === 0;
  held = JSON.parse(event.data);
  size = textBytes(event.data);
  meters.count(event, size);
  viewer.take(event, held, size, null);
  showView();
  table.load(readings());
  // Another document under way means another epoch: points and connectors may be others too.
  if (!first) loadDetailsSoon();
}

function onPatch(event) {
  const patch = JSON.parse(event.data);
  const { document, grown } = apply(held, patch);
  held = document;
  size += grown;
  meters.count(event, size);
  viewer.take(event, held, size, patch);
  const touched = new Map();
  for (const { op, path } of patch) {
    const [id, ...deeper] = tokens(path);
    if (id === undefined || Array.isArray(held)) return table.load(readings());
    touched.set(id, (touched.get(id) ?? false) || (deeper.length === 0 && op !== "replace"));
  }
  for (const [id, whole] of touched) {
    if (whole && table.has(id) !== Object.hasOwn(held, id)) {
      loadDetailsSoon();
      return table.load(readings());
    }
    if (Object.hasOwn(held, id)) table.update(id, reading(held[id]));
  }
}

/** Shows the table of points or the document. */
function showView() {
  const wanted = asDocument ?? !isPoints(held);
  viewer.show(wanted);
  document.body.dataset.view = wanted ? "document" : "points";
  find("view").setAttribute("aria-pressed", String(wanted));
  onTableChange();
}

/** The document's rows. A topic that is not made of points shows its members as they are. */
function readings() {
  const rows = held !== null && typeof held === "object" ? Object.entries(held) : [["value", held]];
  return rows.map(([id, value]) => [id, reading(value)]);
}

function reading(value) {
  const isPoint = value !== null && typeof value === "object" && ("status" in value || ("val" in value && !("_kind" in value)));
  return isPoint ? value : { val: value };
}

async function loadDetails() {
  const [list, connectors] = await Promise.all([points(), request("v1/connectors")]);
  table.describe(list, connectors.body);
  described = true;
}

function loadDetailsSoon() {
  clearTimeout(detailsTimer);
  detailsTimer = setTimeout(() => loadDetails().catch(() => {}), DETAILS_AFTER);
}

async function loadConnectors() {
  if (!described) return loadDetailsSoon();
  const { body } = await request("v1/connectors").catch(() => ({}));
  if (body) table.setConnectors(body);
}

function onTableChange() {
  find("table").hidden = viewer.shown || table.rows.size === 0;
  find("empty").hidden = viewer.shown || (table.rows.size > 0 && table.shown > 0);
  if (viewer.shown) return;
  if (table.rows.size > 0 && table.shown === 0) showEmpty("No point matches this filter.");
  else if (held !== null && table.rows.size === 0) showEmpty("This topic has no points yet.");
  drawChips();
  const text = countText(table.shown, table.rows.size);
  if (find("shown").textContent !== text) find("shown").textContent = text;
  // A point's status often changes because its connector's did.
  if (linkState !== "live" || connectorsTimer) return;
  connectorsTimer = setTimeout(() => {
    connectorsTimer = null;
    loadConnectors();
  }, DETAILS_AFTER);
}

function drawChips() {
  const box = find("chips");
  for (const [base, count] of Object.entries(table.counts ?? {})) {
    let chip = box.querySelector(`[data-base="${base}"]`);
    if (!chip) {
      chip = document.createElement("button");
      chip.type = "button";
      chip.className = "chip";
      chip.dataset.base = base;
      const dot = document.createElement("i");
      dot.className = "dot";
      chip.append(dot, document.createElement("span"), document.createElement("b"));
      chip.children[1].textContent = base;
      chip.addEventListener("click", () => {
        status = status === base ? null : base;
        sift();
      });
      box.append(chip);
    }
    chip.hidden = count === 0 && status !== base;
    chip.lastChild.textContent = count;
    chip.setAttribute("aria-pressed", String(status === base));
  }
}

function sift() {
  table.filter(find("filter").value, status);
  onTableChange();
}

function onKey(event) {
  const filter = find("filter");
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName ?? "");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    filter.focus();
  } else if (event.key === "Escape" && event.target === filter) {
    filter.value = "";
    sift();
  }
}

function showLink(state, detail) {
  // A refusal is the reason for the lines that follow it, and stays until values come again.
  if (state === "refused") refusal = detail;
  if (state === "live") refusal = "";
  if (state === linkState && state === "live") return;
  if (linkState === "live") {
    lost = true;
    table.cut();
  }
  if (state === "live") lost = false;
  linkState = state;
  const seconds = Math.ceil((detail?.delay ?? 0) / 1000);
  const texts = {
    connecting: "Connecting",
    live: "Live",
    lost: "Connection lost, trying again",
    waiting: `${detail?.why ?? "No connection"}, trying again in ${seconds} s`,
    refused: "Refused",
  };
  find("link").dataset.state = state;
  find("link-text").textContent = refusal ? `The gateway says: ${refusal}` : texts[state];
  find("reconnect").hidden = state === "live" || state === "connecting";
  document.body.dataset.link = lost ? "lost" : "";
}

function showEmpty(text) {
  find("empty").hidden = false;
  if (find("empty").textContent !== text) find("empty").textContent = text;
}

function askToken(wasRefused) {
  const dialog = find("token");
  const input = find("token-text");
  find("token-note").textContent = wasRefused ? "The gateway refused this token." : "";
  input.value = "";
  return new Promise((resolve) => {
    // Without a token there is nothing to see behind the dialog: Escape does not close it.
    dialog.oncancel = (event) => event.preventDefault();
    dialog.onclose = () => resolve(input.value.trim());
    dialog.showModal();
  });
}

function tick() {
  meters.tick();
  if (!document.hidden) table.tick();
}
