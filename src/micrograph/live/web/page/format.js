// Numbers, units and lengths as readers write them.

const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** "nm^-2" -> "nm⁻²", "degC" -> "°C". */
export function unit(text) {
  return (text || "")
    .replace(/\bdegC\b/g, "°C")
    .replace(/\bdeg\b/g, "°")
    .replace(/\bum\b/g, "µm")
    .replace(/\^?\*?\*?(?<=[A-Za-zµ°][\^*]*)(-?\d+)/g, (_, power) => [...power].map((c) => SUPERSCRIPT[c]).join(""))
    .replace(/\^/g, "")
    .replace(/\*/g, " ");
}

/** A column's name for people: "mean_area_nm2" -> "mean area". */
export function label(column, hasUnit = true) {
  const bare = hasUnit
    ? column.replace(/_(nm2_per_s|per_nm2|per_nm|per_s|percent|nm2|mrad|mbar|deg|ms|nm|kV|mV|nA|pA|eV|Pa|C|K|V|A|s)$/, "")
    : column;
  return bare.replaceAll("_", " ");
}

export const titled = (column, unitText) => (unit(unitText) ? `${label(column)} (${unit(unitText)})` : label(column, false));

/** A number with `digits` digits that count, never longer than needed. */
export function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(digits - 2).replace("e+", "e");
  return String(Number(value.toPrecision(digits)));
}

/** The largest of 1, 2, 5 times a power of ten that is not above `most`. */
export function round(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((step) => step * power).find((step) => step <= most * (1 + 1e-9)) || power;
}

export function lengthText(nm) {
  const said = (value) => Number(value.toPrecision(6));
  if (nm < 0.1) return `${said(nm * 1000)} pm`;
  return nm < 1000 ? `${said(nm)} nm` : `${said(nm / 1000)} µm`;
}

/** Round values within [low, high], about `number` of them, and how many decimals they need. */
export function ticks(low, high, number) {
  if (!(high > low)) return { values: [low], decimals: 0 };
  const power = 10 ** Math.floor(Math.log10((high - low) / number));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => (high - low) / s <= number) || 10 * power;
  const values = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) values.push(k * step);
  return { values, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

export function tickText(value, decimals) {
  if (Math.abs(value) >= 1e5 || decimals > 5) return number(value, 3);
  const text = value.toFixed(Math.min(decimals, 6));
  return Number(text) === 0 ? "0" : text;
}

export function seconds(value) {
  if (value === null || value === undefined) return "";
  if (Math.abs(value) < 120) return `${Number(value.toPrecision(4))} s`;
  const whole = Math.round(value);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (k) => String(k).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)} h` : `${m}:${two(s)} min`;
}

export function bytes(value) {
  if (value === null || value === undefined) return "";
  const power = Math.min(4, Math.floor(Math.log10(Math.max(value, 1)) / 3));
  return `${number(value / 1000 ** power, 3)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

/** Make an element: made("button", {class: "a", onclick: f}, "text", child). */
export function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Give a canvas the size of its box in device pixels; return its context, in CSS pixels, and that size. */
export function fitted(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas.parentElement;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

export const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
export const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);
