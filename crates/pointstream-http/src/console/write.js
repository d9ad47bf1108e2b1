// The write box of one point, made for its kind: a number within its limits, a switch, a text, a
// date and time. The gateway decides what it takes; the box shows what it said.

import { write } from "./gateway.js";
import { showLevels } from "./levels.js";

const NOTE_SHOWN = 4000;

/**
 * A box for `point`: its form, the button to its levels, the line for the answer, and `show`, which
 * follows the live value. The box writes level 16, the weakest but the default.
 */
export function writeBox(point) {
  const binary = point.kind === "Bool";
  const el = document.getElementById(binary ? "switch-template" : "write-template").content.firstElementChild.cloneNode(true);
  const note = Object.assign(document.createElement("output"), { className: "note" });
  const button = el.querySelector("button");
  const input = el.querySelector("input");
  const name = point.dis || point.id;
  if (binary) button.setAttribute("aria-label", `${name}: switch`);
  else dressInput(input, button, point, name);

  let live = false;
  let timer = null;
  const say = (kind, text) => {
    clearTimeout(timer);
    note.dataset.kind = kind;
    note.textContent = text;
    input?.setAttribute("aria-invalid", String(kind === "error"));
    if (kind === "ok") timer = setTimeout(() => say("", ""), NOTE_SHOWN);
  };
  input?.addEventListener("input", () => note.dataset.kind === "error" && say("", ""));

  el.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (note.dataset.kind === "pending") return;
    const val = binary ? !live : inputValue(input, point.kind);
    if (val === undefined) return say("error", point.kind === "Number" ? "Enter a number." : "Enter a date and time.");
    say("pending", "Writing…");
    el.dataset.pending = "";
    try {
      const { body } = await write(point.id, { val, who: "console" });
      say("ok", body.writeLevel === body.level ? "Written." : `Written, but level ${body.writeLevel} is in effect.`);
      if (input) input.value = "";
    } catch (error) {
      say("error", error.status ? error.message : "The gateway did not answer. The value may not be written.");
    }
    delete el.dataset.pending;
  });

  const levels = Object.assign(document.createElement("button"), { type: "button", className: "levels", textContent: "Levels" });
  levels.setAttribute("aria-label", `Levels of ${name}`);
  levels.addEventListener("click", () => showLevels(point));
  el.append(levels);

  const show = (val) => {
    live = val === true;
    if (!binary) return;
    // A switch without a known position cannot be turned to the other one.
    button.disabled = typeof val !== "boolean";
    button.setAttribute("aria-checked", String(live));
  };
  return { el, note, show };
}

export function dressInput(input, button, point, name) {
  const { kind, min, max, step, unit } = point;
  const limits = [min, max].some((limit) => typeof limit === "number");
  input.setAttribute("aria-label", `New value for ${name}${unit ? ` in ${unit}` : ""}`);
  button?.setAttribute("aria-label", `Write ${name}`);
  if (kind === "Number") {
    input.type = "number";
    input.inputMode = "decimal";
    input.step = step ?? "any";
    if (typeof min === "number") input.min = min;
    if (typeof max === "number") input.max = max;
    if (limits) input.placeholder = `${min ?? ""} … ${max ?? ""}`.trim();
  } else if (kind === "DateTime") {
    input.type = "datetime-local";
    input.step = 1;
  } else {
    input.type = "text";
  }
}

/** What the user has entered, as the gateway takes it; `undefined` where it is not complete. */
export function inputValue(input, kind) {
  if (kind === "Number") return Number.isNaN(input.valueAsNumber) ? undefined : input.valueAsNumber;
  if (kind !== "DateTime") return input.value;
  const at = new Date(input.value);
  if (Number.isNaN(at.getTime())) return undefined;
  return { _kind: "dateTime", val: at.toISOString(), tz: "UTC" };
}
