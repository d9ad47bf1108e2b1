// How values, ages and sizes read. Values come as bare JSON, or as Hayson where JSON has none.

/** The number that a value is for a sparkline; NaN where it is none. */
export function numeric(val) {
  if (typeof val === "boolean") return Number(val);
  const number = val?._kind === "number" ? val.val : val;
  return typeof number === "number" ? number : NaN;
}

/**
 * The text of a value. `places` are the decimals that the point has shown so far: a reading of 21
 * among readings of 21.25 keeps its decimals, so that the column does not jump.
 */
export function valueText(val, places) {
  if (val === undefined || val === null) return "–";
  if (typeof val !== "object" && typeof val !== "number") return String(val);
  const number = val._kind === "number" ? val.val : val;
  if (typeof number === "number") return numberText(number, places);
  if (val._kind === "number") return String(val.val).replace("-INF", "−∞").replace("INF", "∞");
  if (val._kind === "dateTime") return dateTimeText(val);
  if (val._kind === "na") return "n/a";
  return JSON.stringify(val);
}

/** The decimals that a number needs, at seven significant digits and at most `decimalsMax` of its size. */
export function decimals(number) {
  if (!Number.isFinite(number) || Number.isInteger(number)) return 0;
  const text = String(Number(number.toPrecision(7)));
  if (text.includes("e")) return 0;
  return Math.min(text.split(".")[1]?.length ?? 0, decimalsMax(number));
}

export function ageText(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  if (s < 172_800) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

export function bytesText(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const unit = bytes < 1e6 ? "kB" : bytes < 1e9 ? "MB" : "GB";
  const scaled = bytes / { kB: 1e3, MB: 1e6, GB: 1e9 }[unit];
  return `${scaled < 100 ? scaled.toFixed(1) : Math.round(scaled)} ${unit}`;
}

function numberText(number, places) {
  const size = Math.abs(number);
  if (size >= 1e12 || (size > 0 && size < 1e-4)) return number.toExponential(3).replace("-", "−");
  const [whole, fraction] = size.toFixed(Math.min(places, decimalsMax(number))).split(".");
  // From five digits on, groups of three with a narrow space.
  const grouped = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") : whole;
  return `${number < 0 ? "−" : ""}${grouped}${fraction ? `.${fraction}` : ""}`;
}

function decimalsMax(number) {
  const size = Math.abs(number);
  return size >= 10_000 ? 1 : size >= 10 ? 2 : size >= 0.1 ? 3 : 5;
}

/** As the gateway writes it, without its fraction: the wall clock of the value's own zone. */
function dateTimeText({ val }) {
  return String(val).replace("T", " ").replace(/\.\d+/, "").replace(/\+00:00$|Z$/, " UTC");
}
