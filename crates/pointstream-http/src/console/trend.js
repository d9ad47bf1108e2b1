// The recent values of one point, and the sparkline drawn from them.

/** One sample a second for two minutes: faster changes fold into the second's last value. */
const SAMPLES = 120;
const SECOND = 1000;
/** The line starts at this width of time and fills the box, until the two minutes are full. */
const SPAN_MIN = 10 * SECOND;
const WIDTH = 117;
const HEIGHT = 24;
const EDGE = 3;

export class Trend {
  constructor() {
    this.at = [];
    this.values = [];
    this.binary = false;
  }

  /** NaN is a gap: no value from here on. */
  push(now, value) {
    const last = this.at.length - 1;
    const known = this.values[last];
    if (Number.isNaN(value) && (last < 0 || Number.isNaN(known))) return;
    if (now - this.at[last] < SECOND && Number.isNaN(value) === Number.isNaN(known)) {
      this.values[last] = value;
      return;
    }
    this.at.push(now);
    this.values.push(value);
    if (this.at.length > SAMPLES) {
      this.at.shift();
      this.values.shift();
    }
  }

  /** Draws what is kept up to `now`; a value holds until the next one. */
  draw(path, tip, now) {
    const { at, values } = this;
    const span = Math.max(SPAN_MIN, Math.min(SAMPLES * SECOND, now - at[0] || 0));
    const from = now - span;
    let first = 0;
    while (first + 1 < at.length && at[first + 1] <= from) first += 1;
    const [low, high] = this.range(first);
    const y = (value) => HEIGHT - EDGE - ((value - low) / (high - low)) * (HEIGHT - 2 * EDGE);
    const x = (time) => Math.max(0, ((time - from) / span) * WIDTH);
    // A slope lasts one sample at most: after a long hold the line stays level, then steps.
    const slope = this.binary ? 0 : (SECOND / span) * WIDTH;
    let d = "";
    let end = NaN;
    let endX = 0;
    for (let i = first; i < at.length; i += 1) {
      const px = x(at[i]);
      const value = values[i];
      if (Number.isNaN(value)) {
        if (!Number.isNaN(end)) d += `H${px.toFixed(1)}`;
      } else if (Number.isNaN(end)) {
        d += `M${px.toFixed(1)} ${y(value).toFixed(1)}`;
      } else {
        if (px - endX > slope) d += `H${(px - slope).toFixed(1)}`;
        d += `L${px.toFixed(1)} ${y(value).toFixed(1)}`;
      }
      end = value;
      endX = px;
    }
    if (!Number.isNaN(end)) d += `H${WIDTH}`;
    path.setAttribute("d", d);
    tip.setAttribute("r", Number.isNaN(end) ? 0 : 2);
    if (!Number.isNaN(end)) tip.setAttribute("cy", y(end).toFixed(1));
  }

  range(first) {
    if (this.binary) return [0, 1];
    let low = Infinity;
    let high = -Infinity;
    for (let i = first; i < this.values.length; i += 1) {
      if (this.values[i] < low) low = this.values[i];
      if (this.values[i] > high) high = this.values[i];
    }
    // The last digit's noise of a steady value is not blown up to the full height.
    const least = Math.max(Math.abs(low), Math.abs(high)) * 0.004 || 1;
    const lack = Math.max(0, least - (high - low)) / 2;
    return [low - lack, high + lack];
  }
}
