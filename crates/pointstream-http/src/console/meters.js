// What the masthead counts: events a second, bytes received, and bytes saved against sending the
// whole document at each change.

import { bytesText } from "./format.js";

const SECONDS = 120;
/** The rate is the mean of this many seconds. */
const MEAN = 10;
/** The bytes of an event's frame beside its id, name and data: field names, colons, line ends. */
const FRAME = "id: \nevent: \ndata: \n\n".length;

export class Meters {
  constructor(find) {
    this.el = Object.fromEntries(["rate", "counts", "received", "snapshots", "saved", "saved-bytes", "pulse"].map((id) => [id, find(id)]));
    this.reset();
  }

  reset() {
    this.seconds = new Array(SECONDS).fill(0);
    this.age = 0;
    this.received = 0;
    this.whole = 0;
    this.patches = 0;
    this.snapshots = 0;
  }

  /** Counts one event of the stream, `documentSize` being the size of the document after it. */
  count(event, documentSize) {
    const frame = FRAME + event.lastEventId.length;
    const bytes = frame + event.type.length + textBytes(event.data);
    this.seconds[SECONDS - 1] += 1;
    this.received += bytes;
    if (event.type === "patch") {
      this.patches += 1;
      this.whole += frame + "data".length + documentSize;
    } else {
      this.snapshots += 1;
      this.whole += bytes;
    }
  }

  /** Each second. */
  tick() {
    this.age += 1;
    const recent = this.seconds.slice(-MEAN);
    const rate = recent.reduce((a, b) => a + b) / Math.max(1, Math.min(MEAN, this.age));
    const saved = this.whole - this.received;
    const share = this.whole > 0 ? (100 * saved) / this.whole : 0;
    const some = this.snapshots > 0;
    this.el.rate.textContent = some ? rate.toFixed(rate < 100 ? 1 : 0) : "–";
    this.el.counts.textContent = some ? plural(this.patches, "patch", "patches") : "";
    this.el.received.textContent = some ? bytesText(this.received) : "–";
    this.el.snapshots.textContent = some ? plural(this.snapshots, "snapshot", "snapshots") : "";
    // Rounded down, so that the page never claims a saving of all bytes.
    this.el.saved.textContent = some ? `${(Math.floor(share * 10) / 10).toFixed(1)} %` : "–";
    this.el["saved-bytes"].textContent = some ? bytesText(Math.max(0, saved)) : "";
    this.draw();
    this.seconds.shift();
    this.seconds.push(0);
  }

  draw() {
    const most = Math.max(4, ...this.seconds);
    const bar = (events, i) => (events > 0 ? `M${i + 0.5} 24V${(22 - (events / most) * 20).toFixed(1)}` : "");
    this.el.pulse.setAttribute("d", this.seconds.map(bar).join(""));
  }
}

export function textBytes(text) {
  return /^[\x00-\x7f]*$/.test(text) ? text.length : new TextEncoder().encode(text).length;
}

function plural(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}
