// The colour scale of the frame: how often each value is there, which are shown black and white, and handles for them.

import { css } from "./colors.js";
import { color, fitted, number, rem } from "./format.js";

export class Levels {
  /** `changed(limits)` is told [low, high], or null for contrast by percentiles. */
  constructor(root, changed) {
    this.root = root;
    this.canvas = root.querySelector("canvas");
    this.low = root.querySelector("#low");
    this.high = root.querySelector("#high");
    this.button = root.querySelector("#auto");
    this.changed = changed;
    this.scale = "gray";
    this.part = null;
    this.limits = null;
    for (const handle of [this.low, this.high]) handle.addEventListener("input", () => this.#moved(handle));
    this.button.addEventListener("click", () => this.auto());
    new ResizeObserver(() => this.draw()).observe(root);
  }

  get isAuto() {
    return this.limits === null;
  }

  auto() {
    this.limits = null;
    this.button.setAttribute("aria-pressed", "true");
    this.changed(null);
  }

  show(part) {
    this.part = part;
    const from = part.limits;
    const wide = from[1] - from[0] || 1;
    // Rare bright pixels would squeeze the handles together: the scale ends a little beyond what is shown.
    if (this.isAuto) this.range = [Math.max(part.smallest, from[0] - 0.6 * wide), Math.min(part.largest, from[1] + 0.6 * wide)];
    this.low.value = this.#step(from[0]);
    this.high.value = this.#step(from[1]);
    this.low.setAttribute("aria-valuetext", number(from[0]));
    this.high.setAttribute("aria-valuetext", number(from[1]));
    this.draw();
  }

  #step(value) {
    return Math.round((1000 * (value - this.range[0])) / (this.range[1] - this.range[0] || 1));
  }

  #value(handle) {
    return this.range[0] + (Number(handle.value) / 1000) * (this.range[1] - this.range[0]);
  }

  #moved(handle) {
    if (!this.part) return;
    if (Number(this.low.value) >= Number(this.high.value)) {
      if (handle === this.low) this.low.value = Number(this.high.value) - 1;
      else this.high.value = Number(this.low.value) + 1;
    }
    this.limits = [this.#value(this.low), this.#value(this.high)];
    this.button.setAttribute("aria-pressed", "false");
    this.draw();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.changed(this.limits), 60);
  }

  draw() {
    const part = this.part;
    if (!part || !this.range) return;
    const { context, width, height } = fitted(this.canvas);
    const em = rem();
    const [bar, text] = [0.55 * em, 1.28 * em];
    const room = height - bar - text;
    const [low, high] = this.limits || part.limits;
    const at = (value) => ((value - this.range[0]) / (this.range[1] - this.range[0] || 1)) * (width - 16) + 8;
    this.#bars(context, at, room);
    for (let k = 0; k < width - 16; k++) {
      const value = this.range[0] + (k / (width - 16)) * (this.range[1] - this.range[0]);
      const grey = Math.max(0, Math.min(255, Math.round((255 * (value - low)) / (high - low || 1))));
      context.fillStyle = css(this.scale, grey);
      context.fillRect(8 + k, room, 1.5, bar);
    }
    context.strokeStyle = color("line");
    context.strokeRect(8, room, width - 16, bar);
    this.#words(context, at, height, low, high);
  }

  #bars(context, at, room) {
    const { histogram, smallest, largest } = this.part;
    const most = Math.log1p(Math.max(...histogram, 1));
    const step = (largest - smallest) / histogram.length || 1;
    context.fillStyle = color("quiet");
    context.globalAlpha = 0.55;
    histogram.forEach((count, k) => {
      const [left, right] = [at(smallest + k * step), at(smallest + (k + 1) * step)];
      const tall = (Math.log1p(count) / most) * (room - 3);
      if (right > 8 && left < this.canvas.parentElement.clientWidth - 8) context.fillRect(Math.max(8, left), room - tall, right - Math.max(8, left) - 0.5, tall);
    });
    context.globalAlpha = 1;
  }

  /** Write the limits under their places, and the true ends of the values where there is room. */
  #words(context, at, height, low, high) {
    const em = rem();
    const width = this.canvas.parentElement.clientWidth;
    context.font = `${0.78 * em}px ${color("font")}`;
    context.fillStyle = color("text");
    const words = [number(low, 4), `${number(high, 4)} counts`];
    const wide = words.map((word) => context.measureText(word).width);
    let left = Math.min(Math.max(8, at(low) - wide[0] / 2), width - 8 - wide[0]);
    const right = Math.min(Math.max(left + wide[0] + 8, at(high) - wide[1] / 2), width - 8 - wide[1]);
    left = Math.min(left, right - wide[0] - 8);
    context.fillText(words[0], left, height - 2);
    context.fillText(words[1], right, height - 2);
    this.root.title = `All values lie between ${number(this.part.smallest)} and ${number(this.part.largest)}`;
  }
}
