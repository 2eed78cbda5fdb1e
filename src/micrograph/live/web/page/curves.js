// Curves over time: one small chart for each column, with its 95 % band, what fired, and the frame that is shown.

import { lines } from "./colors.js";
import { color, fitted, made, number, rem, ticks, tickText, titled, unit } from "./format.js";

const FIRST = ["count", "covered", "domain_distance", "temperature_C", "bias_V"];
const MOST_AT_FIRST = 7;

export class Curves {
  /** `chosen(frame)` is told which frame a click means. */
  constructor(charts, choices, band, chosen) {
    this.root = charts;
    this.choices = choices;
    this.band = band;
    this.chosen = chosen;
    this.data = { curves: [], fired: [], frames: [], times: [], flagged: [], axis: "frame" };
    this.charts = new Map();
    this.cursor = null;
    this.recipe = "";
    new ResizeObserver(() => this.draw()).observe(charts);
  }

  show(data, recipe) {
    this.data = data;
    this.recipe = recipe;
    this.groups = new Map();
    for (const curve of data.curves) {
      const key = `${curve.table}.${curve.column}`;
      if (!this.groups.has(key)) this.groups.set(key, []);
      this.groups.get(key).push(curve);
    }
    this.band.textContent = data.curves.some((curve) => curve.low) ? "shaded, ±: 95 % interval" : "";
    const known = [...this.groups.keys()].join();
    if (known !== this.known) {
      this.known = known;
      this.#choose();
    }
    this.#arrange();
    this.draw();
  }

  at(frame) {
    this.cursor = frame;
    this.draw();
  }

  /** Where a frame lies on the axis. */
  #x(frame) {
    const { frames, times } = this.data;
    if (frame === null || !frames.length) return null;
    const k = frames.findIndex((one) => one >= frame);
    if (k < 0) return times.at(-1);
    if (k === 0 || frames[k] === frame) return times[k];
    const share = (frame - frames[k - 1]) / (frames[k] - frames[k - 1]);
    return times[k - 1] + share * (times[k] - times[k - 1]);
  }

  #frame(x) {
    const { frames, times } = this.data;
    let best = 0;
    times.forEach((time, k) => {
      if (time !== null && Math.abs(time - x) < Math.abs(times[best] - x)) best = k;
    });
    return frames[best];
  }

  get #store() {
    return `micrograph-curves-${this.recipe}`;
  }

  /** Which curves are shown: those chosen before, else the first few that matter most. */
  #choose() {
    let wanted = null;
    try {
      wanted = JSON.parse(localStorage.getItem(this.#store));
    } catch {
      wanted = null;
    }
    const keys = [...this.groups.keys()];
    const rank = (key) => {
      const [table, column] = key.split(".");
      const place = FIRST.indexOf(column);
      if (place < 0 && this.groups.get(key).every((curve) => curve.y.every((y) => y === curve.y[0]))) return 40;
      return table === "frames" ? (place < 0 ? 20 : place + 2) : table === "summary" ? 3 : 30;
    };
    const byRank = [...keys].sort((a, b) => rank(a) - rank(b) || keys.indexOf(a) - keys.indexOf(b));
    const kept = Array.isArray(wanted) ? keys.filter((key) => wanted.includes(key)) : [];
    this.wanted = new Set(kept.length ? kept : byRank.slice(0, MOST_AT_FIRST));
    this.order = byRank;
    this.choices.replaceChildren(
      ...byRank.map((key) => {
        const box = made("input", { type: "checkbox", checked: this.wanted.has(key), onchange: () => this.#toggle(key, box.checked) });
        const { table, column, unit: unitText } = this.groups.get(key)[0];
        return made("label", { class: "choice" }, box, made("span", {}, titled(column, unitText)), made("small", {}, table));
      }),
    );
    if (!keys.length) this.choices.replaceChildren(made("p", { class: "quiet" }, "No curves yet."));
  }

  #toggle(key, on) {
    this.wanted[on ? "add" : "delete"](key);
    localStorage.setItem(this.#store, JSON.stringify([...this.wanted]));
    this.#arrange();
    this.draw();
  }

  #arrange() {
    const wanted = (this.order || []).filter((key) => this.wanted.has(key) && this.groups.has(key));
    for (const [key, chart] of this.charts) {
      if (!wanted.includes(key)) {
        chart.root.remove();
        this.charts.delete(key);
      }
    }
    for (const key of wanted) {
      if (!this.charts.has(key)) this.charts.set(key, this.#made(key));
      this.root.append(this.charts.get(key).root);
    }
    this.root.classList.toggle("none", !wanted.length);
    this.root.classList.toggle("single", this.data.frames.length === 1);
    this.root.dataset.empty = this.data.curves.length ? "No curve is chosen." : "Curves appear with the first frames.";
  }

  #made(key) {
    const canvas = made("canvas", { "aria-hidden": "true" });
    const box = made("div", { class: "plot" }, canvas);
    const name = made("span", { class: "name" });
    const now = made("span", { class: "now" });
    const legend = made("span", { class: "keys" });
    const root = made("figure", { class: "chart" }, made("figcaption", {}, name, legend, now), box);
    const chart = { key, root, canvas, box, name, now, legend };
    const x = (event) => this.#inverse(chart, event.clientX - box.getBoundingClientRect().left);
    box.addEventListener("click", (event) => this.data.frames.length && this.chosen(this.#frame(x(event))));
    box.addEventListener("pointermove", (event) => {
      chart.hover = x(event);
      this.#draw(chart);
    });
    box.addEventListener("pointerleave", () => {
      chart.hover = null;
      this.#draw(chart);
    });
    return chart;
  }

  #inverse(chart, left) {
    const { from, to, x0, x1 } = chart.axis || { from: 0, to: 1, x0: 0, x1: 1 };
    return x0 + ((left - from) / (to - from || 1)) * (x1 - x0);
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      for (const chart of this.charts.values()) this.#draw(chart);
    });
  }

  #domain() {
    const xs = this.data.curves.flatMap((curve) => [curve.x[0], curve.x.at(-1)]).concat(this.data.times[0], this.data.times.at(-1));
    const known = xs.filter((x) => typeof x === "number");
    const [low, high] = [Math.min(...known), Math.max(...known)];
    return high > low ? [low, high] : [low - 0.5, low + 0.5];
  }

  #draw(chart) {
    const curves = this.groups.get(chart.key);
    if (!curves) return;
    this.#words(chart, curves);
    if (!chart.box.clientWidth) return;
    const { context, width, height } = fitted(chart.canvas);
    const em = rem();
    const [x0, x1] = this.#domain();
    const [y0, y1] = span(curves);
    const [from, to, top, bottom] = [3.5 * em, width - 0.6 * em, 0.35 * em, height - 1.25 * em];
    chart.axis = { from, to, x0, x1 };
    const px = (x) => from + ((x - x0) / (x1 - x0)) * (to - from);
    const py = (y) => bottom - ((y - y0) / (y1 - y0)) * (bottom - top);
    const plot = { context, px, py, from, to, top, bottom, em };
    this.#axes(plot, [x0, x1], [y0, y1]);
    this.#doubts(plot);
    context.save();
    context.beginPath();
    context.rect(from, top - 2, to - from, bottom - top + 4);
    context.clip();
    curves.forEach((curve, k) => drawCurve(plot, curve, lines()[k % lines().length]));
    context.restore();
    this.#marks(plot);
    this.#points(chart, curves, plot);
  }

  #axes({ context, px, py, from, to, top, bottom, em }, xRange, yRange) {
    context.font = `${0.75 * em}px ${color("font")}`;
    context.lineWidth = 1;
    context.textBaseline = "middle";
    context.textAlign = "right";
    const y = ticks(...yRange, Math.max(2, Math.floor((bottom - top) / (1.6 * em))));
    for (const value of y.values) {
      context.strokeStyle = color("grid");
      context.beginPath();
      context.moveTo(from, py(value));
      context.lineTo(to, py(value));
      context.stroke();
      context.fillStyle = color("quiet");
      context.fillText(tickText(value, y.decimals), from - 0.4 * em, py(value));
    }
    const name = this.data.axis === "s" ? "time (s)" : "frame";
    const wide = context.measureText(name).width;
    const x = ticks(...xRange, Math.max(2, Math.floor((to - from) / (4 * em))));
    context.textBaseline = "alphabetic";
    context.fillText(name, to, bottom + 1.05 * em);
    context.textAlign = "center";
    for (const value of x.values) {
      if (px(value) < to - wide - 1.6 * em) context.fillText(tickText(value, x.decimals), px(value), bottom + 1.05 * em);
    }
    context.textAlign = "left";
  }

  #doubts({ context, px, top, bottom }) {
    context.fillStyle = color("doubt");
    for (const { first, last } of this.data.flagged) {
      const [left, right] = [px(this.#x(first)), px(this.#x(last))];
      context.fillRect(left - 1.5, top, Math.max(3, right - left + 3), bottom - top);
    }
  }

  #marks({ context, px, top, bottom, em }) {
    const line = (x, style, dash) => {
      context.strokeStyle = style;
      context.setLineDash(dash);
      context.beginPath();
      context.moveTo(x, top);
      context.lineTo(x, bottom);
      context.stroke();
      context.setLineDash([]);
    };
    context.lineWidth = 0.11 * em;
    for (const { x } of this.data.fired) {
      if (x === null) continue;
      line(px(x), color("mark"), [4, 3]);
      context.fillStyle = color("mark");
      context.beginPath();
      context.moveTo(px(x), top + 0.6 * em);
      context.lineTo(px(x) - 0.32 * em, top);
      context.lineTo(px(x) + 0.32 * em, top);
      context.fill();
    }
    const x = this.#x(this.cursor);
    if (x !== null && x !== undefined) line(px(x), color("text"), []);
  }

  #said(chart, curves) {
    const x = chart.hover ?? this.#x(this.cursor);
    return curves.map((curve) => near(curve, x));
  }

  /** Write what the chart shows, and its value under the pointer or at the frame that is shown. */
  #words(chart, curves) {
    chart.name.textContent = titled(curves[0].column, curves[0].unit);
    chart.name.title = `table '${curves[0].table}', column '${curves[0].column}'`;
    chart.legend.replaceChildren(
      ...(curves.length < 2 ? [] : curves.map((curve, k) => {
        const key = made("span", { class: "key" }, curve.group);
        key.style.setProperty("--key", lines()[k % lines().length]);
        return key;
      })),
    );
    const one = this.#said(chart, curves)[0];
    chart.now.textContent = curves.length === 1 && one ? `${withBand(one)} ${unit(curves[0].unit)}` : "";
    chart.root.setAttribute("aria-label", `${chart.name.textContent}: ${curves.map((curve) => `${curve.group} ${number(curve.last)}`).join(", ")}`);
  }

  #points(chart, curves, { context, px, py, em }) {
    this.#said(chart, curves).forEach((point, k) => {
      if (!point) return;
      context.beginPath();
      context.arc(px(point.x), py(point.y), 0.26 * em, 0, 7);
      context.fillStyle = lines()[k % lines().length];
      context.fill();
      context.strokeStyle = color("panel");
      context.stroke();
    });
  }
}

/** A value with its 95 % interval, both cut at the second digit of half its width. */
function withBand({ y, low, high }) {
  const half = low === null || high === null ? 0 : (high - low) / 2;
  if (!(half > 0)) return number(y);
  const digits = Math.max(0, Math.min(12, 1 - Math.floor(Math.log10(half))));
  if (Math.abs(high + low - 2 * y) < 0.02 * half) return `${y.toFixed(digits)} ± ${half.toFixed(digits)}`;
  return `${y.toFixed(digits)} (${low.toFixed(digits)} to ${high.toFixed(digits)})`;
}

/** Return the point of a curve nearest to x. */
function near(curve, x) {
  if (x === null || x === undefined || !curve.x.length) return null;
  let best = -1;
  curve.x.forEach((at, k) => {
    if (curve.y[k] !== null && at !== null && (best < 0 || Math.abs(at - x) < Math.abs(curve.x[best] - x))) best = k;
  });
  return best < 0 ? null : { x: curve.x[best], y: curve.y[best], low: curve.low?.[best] ?? null, high: curve.high?.[best] ?? null };
}

/** The values that a chart spans: all of its curves, and their bands as far as they are not much wider. */
function span(curves) {
  const finite = (values) => values.filter((value) => value !== null);
  const ys = finite(curves.flatMap((curve) => curve.y));
  let [low, high] = [Math.min(...ys), Math.max(...ys)];
  const reach = Math.max(high - low, 1e-12 * Math.max(Math.abs(low), Math.abs(high)));
  const bands = finite(curves.flatMap((curve) => [...(curve.low || []), ...(curve.high || [])]));
  const spread = reach > 0 && high > low ? 20 * reach : Infinity;
  if (bands.length) {
    low = Math.max(Math.min(low, ...bands), low - spread);
    high = Math.min(Math.max(high, ...bands), high + spread);
  }
  if (!(high > low)) return [low - Math.max(0.5, 0.1 * Math.abs(low)), high + Math.max(0.5, 0.1 * Math.abs(high))];
  return [low - 0.06 * (high - low), high + 0.06 * (high - low)];
}

function drawCurve({ context, px, py, em }, curve, style) {
  const { x, y, low, high } = curve;
  if (low && high) {
    context.beginPath();
    const known = x.map((_, k) => k).filter((k) => low[k] !== null && high[k] !== null);
    known.forEach((k, n) => context[n ? "lineTo" : "moveTo"](px(x[k]), py(high[k])));
    known.reverse().forEach((k) => context.lineTo(px(x[k]), py(low[k])));
    context.globalAlpha = 0.2;
    context.fillStyle = style;
    context.fill();
    context.globalAlpha = 1;
  }
  context.beginPath();
  let open = false;
  x.forEach((at, k) => {
    if (y[k] === null || at === null) {
      open = false;
      return;
    }
    context[open ? "lineTo" : "moveTo"](px(at), py(y[k]));
    open = true;
  });
  context.lineWidth = 0.12 * em;
  context.lineJoin = "round";
  context.strokeStyle = style;
  context.stroke();
}
