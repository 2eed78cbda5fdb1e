// Words around the frame: speed and losses, doubts, the legend, notes, and what fired.

import { made, number, rem, seconds } from "./format.js";
import { marker } from "./overlay.js";

const COUNTERS = [
  ["frames_per_s", "frames/s", 3],
  ["latency_ms", "latency", 3, "ms"],
  ["latency_p95_ms", "95 % below", 3, "ms"],
  ["waiting", "waiting", 6],
  ["done", "done", 9],
];
const LOSSES = ["dropped", "lost", "bad"];

const DOUBTS = {
  out_of_domain: ["Out of domain", "This frame looks unlike the images that the model was trained on: do not trust its numbers without checking them by eye."],
  bad_frame: ["Unusable frame", "It is empty, constant or not finite, and was left out."],
  low_confidence: ["Unsure", "The model is unsure of what it sees here: check by eye."],
  no_fit: ["No fit", "A fit failed: values that rest on it are missing."],
};

export function counters(root, state) {
  const { counters: said } = state;
  const shown = COUNTERS.filter(([name]) => said[name] !== undefined && (state.running || name === "done"));
  const items = shown.map(([name, label, digits, unit]) => pair(label, `${number(said[name], digits)}${unit ? ` ${unit}` : ""}`));
  for (const name of LOSSES) {
    if (said[name] === undefined || (!state.running && !said[name])) continue;
    items.push(pair(name, number(said[name]), said[name] > 0 ? "loss" : ""));
  }
  root.replaceChildren(...items);
}

const pair = (label, value, kind = "") => made("div", { class: kind }, made("dt", {}, label), made("dd", {}, value));

export function status(root, state, connected) {
  const [word, kind] = !connected ? ["no connection", "off"] : state?.paused ? ["paused", "off"] : state?.running ? ["running", "on"] : ["finished", "over"];
  root.textContent = word;
  root.dataset.kind = kind;
}

export function doubt(root, stage, look) {
  const found = (look?.flags || []).filter((flag) => DOUBTS[flag]).sort((a, b) => Object.keys(DOUBTS).indexOf(a) - Object.keys(DOUBTS).indexOf(b));
  const flag = found[0];
  root.hidden = !flag;
  stage.classList.toggle("doubted", flag === "out_of_domain" || flag === "bad_frame");
  if (!flag) return;
  const [title, sentence] = DOUBTS[flag];
  const distance = look.known.domain_distance;
  const more = flag === "out_of_domain" && distance !== null && distance !== undefined ? ` Distance ${number(distance, 3)}.` : "";
  const key = `${title}${sentence}${more}`;
  if (root.dataset.key === key) return;
  root.dataset.key = key;
  root.dataset.kind = flag;
  root.replaceChildren(made("strong", {}, title), ` ${sentence}${more}`);
}

/** The kinds in this frame with their numbers; a click hides or shows one. */
export function legend(root, look, hidden, toggled) {
  const ratio = window.devicePixelRatio || 1;
  root.replaceChildren(
    ...(look?.kinds || []).map((kind) => {
      const side = Math.round(1.5 * rem() * ratio);
      const canvas = made("canvas", { width: side, height: side, "aria-hidden": "true" });
      const context = canvas.getContext("2d");
      context.scale(ratio, ratio);
      context.translate(0.75 * rem(), 0.75 * rem());
      marker(context, kind, 0.45 * rem());
      const shown = !hidden.has(kind.name);
      return made("button", { type: "button", "aria-pressed": String(shown), title: shown ? "Hide" : "Show", onclick: () => toggled(kind.name) },
        canvas, made("span", {}, kind.name), made("b", {}, String(kind.count)));
    }),
  );
}

/** What fired as rows for a table. */
export function firedRows(state) {
  const columns = ["rule", "frame", "t_s", "action", "outcome"];
  const rows = [...state.fired].reverse();
  return { columns, values: columns.map((name) => rows.map((row) => row[name] ?? null)), rows: state.fired_in_all };
}

export function notes(root, state) {
  const said = [...state.notes].reverse();
  root.replaceChildren(
    made("ul", { class: "notes" }, ...(said.length ? said.map((note) => made("li", { class: warns(note) ? "warns" : "" }, note)) : [made("li", { class: "quiet" }, "Nothing to report.")])),
  );
}

export const warns = (note) => /unlike|do not trust|unsure|failed|lost|left out|dropped|cannot|not found/i.test(note);

export const moment = (look) =>
  look ? [`frame ${look.frame}`, seconds(look.known.t_s)].filter(Boolean).join("  ·  ") : "";

let timer = null;
/** Say something for a few seconds; 0 seconds: until the next. */
export function toast(sentence, kind = "", lasts = 6) {
  const root = document.getElementById("toast");
  root.textContent = sentence;
  root.dataset.kind = kind;
  root.hidden = !sentence;
  clearTimeout(timer);
  if (lasts) timer = setTimeout(() => (root.hidden = true), 1000 * lasts);
}
