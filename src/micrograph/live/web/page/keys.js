// What the keyboard does. Every key here is listed in the overlay that `?` opens.

import { made } from "./format.js";

export const KEYS = [
  ["← →", "frame before, next frame (with Shift: ten)"],
  ["Home End", "first frame, newest frame"],
  ["L", "follow the newest frame"],
  ["Space", "play the frames"],
  ["+ − 0", "zoom in, zoom out, whole frame (also: wheel, pinch, double click)"],
  ["W A S D", "move the frame (also: drag)"],
  ["O P T", "outlines, points, tracks on or off"],
  ["C", "contrast by percentiles again"],
  ["M", "next colours of the image"],
  ["N", "next object (with Shift: the one before)"],
  ["Esc", "no object, close"],
  ["Shift + D", "light or dark"],
  ["E", "export"],
  ["?", "these keys"],
];

export function listKeys(root) {
  root.replaceChildren(
    made("dl", {}, ...KEYS.flatMap(([keys, does]) => [made("dt", {}, ...keys.split(" ").map((key) => (key.length > 1 && key !== "+" && !/^[A-Z]/.test(key) ? key : made("kbd", {}, key)))), made("dd", {}, does)])),
  );
}

/** Call what a key stands for; `does` holds the actions by name. */
export function listen(does) {
  document.addEventListener("keydown", (event) => {
    const inField = event.target.closest("input:not([type=checkbox]), select, textarea, dialog");
    if (inField || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const onButton = event.target.closest("button, summary, [role=tab]");
    if (onButton && (event.key === " " || event.key === "Enter")) return;
    const action = actionOf(event, does);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function actionOf(event, does) {
  const many = event.shiftKey ? 10 : 1;
  switch (event.key) {
    case "ArrowLeft": return () => does.step(-many);
    case "ArrowRight": return () => does.step(many);
    case "PageUp": return () => does.step(-10);
    case "PageDown": return () => does.step(10);
    case "Home": return does.first;
    case "End": return does.newest;
    case " ": return does.play;
    case "+": case "=": return () => does.zoom(1.4);
    case "-": case "_": return () => does.zoom(1 / 1.4);
    case "0": return does.fit;
    case "?": return does.help;
    case "Escape": return does.none;
    case "N": return () => does.object(-1);
    case "n": return () => does.object(1);
    case "D": return does.theme;
    default: return letter(event.key, does);
  }
}

function letter(key, does) {
  const pans = { w: [-0.15, 0], s: [0.15, 0], a: [0, -0.15], d: [0, 0.15] };
  const layers = { o: "outlines", p: "points", t: "tracks" };
  const small = key.toLowerCase();
  if (pans[key]) return () => does.pan(...pans[key]);
  if (layers[small]) return () => does.layer(layers[small]);
  return { l: does.newest, c: does.contrast, m: does.colormap, e: does.exports }[small];
}
