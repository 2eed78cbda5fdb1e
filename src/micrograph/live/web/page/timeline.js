// The time line: all frames so far, the doubtful ones, what fired, and the one that is shown.

import { color, fitted, rem, seconds } from "./format.js";

export class Timeline {
  /** `chosen(frame)` is told which frame to show. */
  constructor(root, chosen) {
    this.root = root;
    this.canvas = root.querySelector("canvas");
    this.chosen = chosen;
    this.range = null;
    this.frame = null;
    this.flagged = [];
    this.fired = [];
    new ResizeObserver(() => this.draw()).observe(root);
    let held = false;
    root.addEventListener("pointerdown", (event) => {
      held = true;
      root.setPointerCapture(event.pointerId);
      this.#scrub(event);
    });
    root.addEventListener("pointermove", (event) => held && this.#scrub(event));
    for (const end of ["pointerup", "pointercancel"]) root.addEventListener(end, () => (held = false));
  }

  get margin() {
    return 0.6 * rem();
  }

  #scrub(event) {
    if (!this.range) return;
    const box = this.root.getBoundingClientRect();
    const share = (event.clientX - box.left - this.margin) / (box.width - 2 * this.margin);
    const [first, last] = this.range;
    this.chosen(Math.round(first + Math.min(1, Math.max(0, share)) * (last - first)));
  }

  #at(frame, width) {
    const [first, last] = this.range;
    return this.margin + ((frame - first) / Math.max(1, last - first)) * (width - 2 * this.margin);
  }

  show(range, frame, time) {
    this.range = range;
    this.frame = frame;
    if (range) {
      this.root.setAttribute("aria-valuemin", range[0]);
      this.root.setAttribute("aria-valuemax", range[1]);
      this.root.setAttribute("aria-valuenow", frame ?? range[0]);
      this.root.setAttribute("aria-valuetext", `frame ${frame ?? range[0]}${time ? `, ${seconds(time)}` : ""}`);
    }
    this.draw();
  }

  marks(flagged, fired) {
    this.flagged = flagged;
    this.fired = fired;
    this.draw();
  }

  draw() {
    const { context, width, height } = fitted(this.canvas);
    if (!this.range) return;
    const em = rem();
    const middle = 0.62 * height;
    const bar = (from, to, fill, tall) => {
      context.fillStyle = fill;
      context.beginPath();
      context.roundRect(from, middle - tall / 2, Math.max(2, to - from), tall, tall / 2);
      context.fill();
    };
    const at = (frame) => this.#at(frame, width);
    bar(this.margin, width - this.margin, color("line"), 0.4 * em);
    if (this.frame !== null) bar(this.margin, at(this.frame), color("accent"), 0.4 * em);
    for (const { first, last } of this.flagged) bar(at(first - 0.4), at(last + 0.4), color("warn"), 0.55 * em);
    context.fillStyle = color("mark");
    for (const { frame } of this.fired) if (frame !== null) this.#flag(context, at(frame), middle - 0.5 * em, 0.36 * em);
    if (this.frame === null) return;
    context.beginPath();
    context.arc(at(this.frame), middle, 0.5 * em, 0, 7);
    context.fillStyle = color("accent");
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = color("panel");
    context.stroke();
  }

  #flag(context, x, y, size) {
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x - size, y - 1.7 * size);
    context.lineTo(x + size, y - 1.7 * size);
    context.closePath();
    context.fill();
  }
}
