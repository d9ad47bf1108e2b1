// The gateway's API as this page uses it: requests with the token where one is demanded, the pages
// of the list of points, and the event stream with its reconnection.

const TOKEN_KEY = "pointstream.token";
const PAGES_MAX = 1000;
const RETRY_MIN = 500;
const RETRY_MAX = 30_000;
/** A stream that has lived this long was healthy, and the back-off starts from its minimum again. */
const HEALTHY = 15_000;

/** How far the gateway's clock is ahead of this one, in milliseconds. */
export let clockAhead = 0;

/** The gateway said no: `message` is its own sentence. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let asking = null;
let askUser = async () => null;

/** Names the function that asks the user for the token; it is told whether one was refused. */
export function onTokenNeeded(ask) {
  askUser = ask;
}

/** A request to the gateway; answers the JSON body and the response. */
export async function request(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN_KEY);
    const headers = new Headers(options.headers);
    if (token) headers.set("Authorization", `Bearer ${token}`);
    const response = await fetch(address(path), { ...options, headers, cache: "no-store" });
    readClock(response);
    if (response.status === 401) {
      // Several requests may be refused at once; one question answers them all.
      if (sessionStorage.getItem(TOKEN_KEY) === token) await (asking ??= ask(token));
      continue;
    }
    const body = await response.json().catch(() => null);
    if (!response.ok) {
      const { detail, title } = body?.error ?? {};
      throw new Refused(response.status, detail || title || `The gateway answered ${response.status}.`);
    }
    return { body, response };
  }
}

/** Every point of the gateway, page by page. */
export async function points() {
  const all = [];
  let next = "v1/points?limit=1000";
  for (let page = 0; next && page < PAGES_MAX; page += 1) {
    const { body, response } = await request(next);
    all.push(...body);
    const link = /<([^>]*)>[^,]*\brel="?next\b/i.exec(response.headers.get("Link") ?? "");
    const url = link && new URL(link[1], response.url);
    // The token goes to this gateway only, wherever a link may point.
    next = url && url.origin === location.origin ? url.href : null;
  }
  return all;
}

/** Writes a level of a point: `{ val, level, who, duration }`, of which only `val` must be there. */
export async function write(id, what) {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify(what);
  return request(`v1/points/${encodeURIComponent(id)}/write`, { method: "POST", headers, body });
}

/** The priority array of a point. */
export async function levels(id) {
  return request(`v1/points/${encodeURIComponent(id)}/write`);
}

/** What a connector knows about itself, as text. */
export async function details(id) {
  const token = sessionStorage.getItem(TOKEN_KEY);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const path = `v1/connectors/${encodeURIComponent(id)}/details`;
  const response = await fetch(address(path), { headers, cache: "no-store" });
  if (!response.ok) throw new Refused(response.status, `The gateway answered ${response.status}.`);
  return response.text();
}

/** Has the browser keep an answer as a file of this name. */
export async function download(path, name) {
  const token = sessionStorage.getItem(TOKEN_KEY);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(address(path), { headers, cache: "no-store" });
  if (!response.ok) throw new Refused(response.status, `The gateway answered ${response.status}.`);
  const url = URL.createObjectURL(await response.blob());
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Calls `on` with the JSON of each event of this name until the source is closed. */
export function follow(path, name, on) {
  const token = sessionStorage.getItem(TOKEN_KEY);
  const query = token ? `?access_token=${encodeURIComponent(token)}` : "";
  const source = new EventSource(address(`${path}${query}`));
  source.addEventListener(name, (event) => on(JSON.parse(event.data)));
  return source;
}

/**
 * A topic's event stream. EventSource reconnects and resumes by itself while it can; where it has
 * given up, and where a patch did not apply, a new one is opened, which names no event to resume
 * from and so begins with the whole document.
 *
 * Calls `on.document(event)`, `on.patch(event)` (which throws where the patch does not apply) and
 * `on.state(name, detail)` with `connecting`, `live`, `lost`, `waiting` or `refused`.
 */
export class Stream {
  constructor(topic, on) {
    this.topic = topic;
    this.on = on;
    this.failures = 0;
    this.open();
  }

  open() {
    this.close();
    const token = sessionStorage.getItem(TOKEN_KEY);
    const query = token ? `?access_token=${encodeURIComponent(token)}` : "";
    const source = new EventSource(address(`v1/topics/${encodeURIComponent(this.topic)}${query}`));
    this.source = source;
    this.complete = false;
    this.openedAt = performance.now();
    this.on.state("connecting");
    // A resumed stream says nothing until something changes, so that its opening is all there is.
    source.onopen = () => this.complete && this.on.state("live");
    const document = (event) => {
      this.complete = true;
      this.on.document(event);
      this.on.state("live");
    };
    source.addEventListener("data", document);
    source.addEventListener("snapshot", document);
    source.addEventListener("patch", (event) => this.patch(event));
    source.addEventListener("error", (event) => {
      // An error event of the gateway and a broken connection come under one name.
      if (event instanceof MessageEvent) this.on.state("refused", errorText(event.data));
      else if (source.readyState === EventSource.CLOSED) this.retry();
      else this.on.state("lost");
    });
  }

  close() {
    clearTimeout(this.timer);
    this.timer = null;
    this.source?.close();
  }

  patch(event) {
    if (!this.complete) return this.retry("A patch came before its document");
    try {
      this.on.patch(event);
    } catch (error) {
      return this.retry(`A patch did not apply (${error.message})`);
    }
    if (performance.now() - this.openedAt > HEALTHY) this.failures = 0;
    this.on.state("live");
  }

  retry(why) {
    this.close();
    const most = Math.min(RETRY_MAX, RETRY_MIN * 2 ** this.failures);
    const delay = most * (0.5 + Math.random() / 2);
    this.failures += 1;
    this.on.state("waiting", { why, delay });
    const timer = setTimeout(async () => {
      // EventSource hides why it was refused. A request shows it, and asks for the token on a 401.
      await request("v1/topics").catch(() => {});
      if (this.timer === timer) this.open();
    }, delay);
    this.timer = timer;
  }
}

/** Relative to the page, so that a proxy may serve the whole under a prefix. */
function address(path) {
  return new URL(path, document.baseURI).href;
}

async function ask(refused) {
  sessionStorage.removeItem(TOKEN_KEY);
  const token = await askUser(Boolean(refused));
  if (token) sessionStorage.setItem(TOKEN_KEY, token);
  asking = null;
}

function readClock(response) {
  const date = Date.parse(response.headers.get("Date") ?? "");
  // The header has whole seconds: a smaller difference is not one.
  const ahead = date + 500 - Date.now();
  clockAhead = Math.abs(ahead) > 2000 ? ahead : 0;
}

function errorText(data) {
  try {
    const { code, message } = JSON.parse(data);
    return code ? `${message} (${code})` : `${message}`;
  } catch {
    return String(data);
  }
}
