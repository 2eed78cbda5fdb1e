// The frame: its pixels in a canvas that zooms and moves, a scale bar, and the value under the pointer.

import * as api from "./api.js";
import { table } from "./colors.js";
import { color, fitted, lengthText, number, rem, round } from "./format.js";

const MOST_ZOOM = 64;
const NO_PART = { pixels: null };

/** A picture of the server as something to draw: its grey values through a scale of colours. */
function painted(part, scale) {
  const [height, width] = part.shape;
  const canvas = new OffscreenCanvas(width, height);
  const data = new ImageData(width, height);
  const colors = table(scale);
  const out = new Uint32Array(data.data.buffer);
  for (let k = 0; k < out.length; k++) out[k] = colors[part.pixels[k]];
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

export class Viewer {
  /** `overlay(context, viewer)` draws over the frame; `picked(y_nm, x_nm, reach_nm)` is told of clicks. */
  constructor(stage, overlay, picked) {
    this.stage = stage;
    this.canvas = stage.querySelector("canvas");
    this.readout = stage.querySelector(".readout");
    this.overlay = overlay;
    this.picked = picked;
    this.view = "main";
    this.pixel = null;
    this.shape = null;
    this.limits = null;
    this.scale = "gray";
    this.zoom = null; // screen pixels per pixel of the frame; null: the whole frame fits
    this.middle = null; // [y, x] in pixels of the frame
    this.base = NO_PART;
    this.detail = null;
    this.changed = () => {};
    new ResizeObserver(() => this.moved()).observe(stage);
    this.#listen();
  }

  /** Show a frame: `facts` of its picture, or null where it is not kept. */
  show(frame, part) {
    this.frame = frame;
    this.base = part ? { ...part, canvas: painted(part, this.scale) } : NO_PART;
    this.detail = null;
    if (part) this.shape = part.frame;
    this.draw();
    this.#refine();
  }

  recolor(scale) {
    this.scale = scale;
    for (const part of [this.base, this.detail]) if (part?.pixels) part.canvas = painted(part, scale);
    this.draw();
  }

  path(frame, box, most) {
    const limits = this.limits ? `&low=${this.limits[0]}&high=${this.limits[1]}` : "";
    return `/api/${this.view}/frames/${frame}/image?most=${Math.round(most)}${box ? `&box=${box.join(",")}` : ""}${limits}`;
  }

  get size() {
    return [this.stage.clientHeight, this.stage.clientWidth];
  }

  get fit() {
    return this.shape ? Math.min(this.size[0] / this.shape[0], this.size[1] / this.shape[1]) : 1;
  }

  get factor() {
    return this.zoom ?? this.fit;
  }

  get centre() {
    return this.middle && this.zoom ? this.middle : (this.shape || [0, 0]).map((side) => side / 2);
  }

  /** Where a place of the frame (pixels, border of the first pixel at 0) is on the screen, as [y, x]. */
  place(y, x) {
    return [(y - this.centre[0]) * this.factor + this.size[0] / 2, (x - this.centre[1]) * this.factor + this.size[1] / 2];
  }

  back(top, left) {
    return [(top - this.size[0] / 2) / this.factor + this.centre[0], (left - this.size[1] / 2) / this.factor + this.centre[1]];
  }

  /** Where a place in nm (pixel centres at whole numbers) is on the screen, as [y, x]. */
  placeNm(y, x) {
    const pixel = this.pixel || 1;
    return this.place(y / pixel + 0.5, x / pixel + 0.5);
  }

  zoomBy(times, at = null) {
    if (!this.shape) return;
    const [top, left] = at || this.size.map((side) => side / 2);
    const [y, x] = this.back(top, left);
    const next = Math.min(MOST_ZOOM, this.factor * times);
    if (next <= this.fit * 1.001) {
      this.zoomFit();
      return;
    }
    this.zoom = next;
    this.middle = [y - (top - this.size[0] / 2) / next, x - (left - this.size[1] / 2) / next];
    this.moved();
  }

  zoomFit() {
    this.zoom = null;
    this.middle = null;
    this.moved();
  }

  /** Move by shares of the window. */
  pan(down, right) {
    if (!this.zoom) return;
    this.middle = [this.centre[0] + (down * this.size[0]) / this.factor, this.centre[1] + (right * this.size[1]) / this.factor];
    this.moved();
  }

  /** Bring a place (nm) into the window if it lies outside. */
  reveal(y, x) {
    const [top, left] = this.placeNm(y, x);
    const inside = top > 20 && left > 20 && top < this.size[0] - 20 && left < this.size[1] - 20;
    if (inside || !this.zoom) return;
    const pixel = this.pixel || 1;
    this.middle = [y / pixel, x / pixel];
    this.moved();
  }

  moved() {
    if (this.zoom && this.shape) {
      if (this.zoom <= this.fit) this.zoom = this.middle = null;
      else this.middle = this.centre.map((at, k) => Math.min(Math.max(at, 0), this.shape[k]));
    }
    this.draw();
    this.#refine();
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.#drawNow();
    });
  }

  #drawNow() {
    const { context, width, height } = fitted(this.canvas);
    context.fillStyle = color("stage");
    context.fillRect(0, 0, width, height);
    if (this.base.pixels) this.#drawPart(context, this.base);
    if (this.detail) this.#drawPart(context, this.detail);
    if (this.shape) {
      this.overlay(context, this);
      this.#drawBar(context, width, height);
    }
    this.changed();
  }

  #drawPart(context, part) {
    const [top, left] = this.place(part.y, part.x);
    const size = part.block * this.factor;
    context.imageSmoothingEnabled = size < 2;
    context.imageSmoothingQuality = "high";
    context.drawImage(part.canvas, left, top, part.shape[1] * size, part.shape[0] * size);
  }

  #drawBar(context, width, height) {
    if (!this.pixel) return;
    const perNm = this.factor / this.pixel;
    const shown = Math.min(width, this.shape[1] * this.factor);
    const length = round((0.25 * shown) / perNm);
    const text = lengthText(length);
    const em = rem();
    context.font = `600 ${0.95 * em}px ${color("font")}`;
    const long = length * perNm;
    const wide = Math.max(long, context.measureText(text).width) + 1.2 * em;
    const [left, bottom] = [0.8 * em, height - 0.8 * em];
    context.fillStyle = "rgba(0,0,0,0.66)";
    context.beginPath();
    context.roundRect(left, bottom - 2.4 * em, wide, 2.4 * em, 0.3 * em);
    context.fill();
    context.fillStyle = "#fff";
    context.textAlign = "center";
    context.fillText(text, left + wide / 2, bottom - 1.25 * em);
    context.fillRect(left + (wide - long) / 2, bottom - 0.75 * em, long, 0.28 * em);
    this.bar = text;
  }

  /** Ask for the part in the window where the picture of the whole frame is coarser than the screen. */
  #refine() {
    clearTimeout(this.timer);
    if (!this.base.pixels || this.base.block === 1) return;
    if (this.base.block * this.factor * (window.devicePixelRatio || 1) <= 1.2) {
      this.detail = null;
      return;
    }
    this.timer = setTimeout(() => this.#fetchDetail(), 120);
  }

  async #fetchDetail() {
    const [top, left] = this.back(0, 0);
    const [bottom, right] = this.back(...this.size);
    const box = [Math.floor(top), Math.floor(left), Math.ceil(bottom), Math.ceil(right)].map((at) => Math.max(0, at));
    const frame = this.frame;
    const wanted = (this.wanted = box.join());
    try {
      const most = Math.max(...this.size) * (window.devicePixelRatio || 1);
      const part = await api.picture(this.path(frame, box, most));
      if (frame !== this.frame || wanted !== this.wanted) return;
      this.detail = { ...part, canvas: painted(part, this.scale) };
      this.draw();
    } catch {
      this.detail = null; // the coarse picture stays
    }
  }

  #listen() {
    const at = (event) => {
      const box = this.stage.getBoundingClientRect();
      return [event.clientY - box.top, event.clientX - box.left];
    };
    this.stage.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), at(event));
      },
      { passive: false },
    );
    this.stage.addEventListener("dblclick", (event) => this.zoomBy(2, at(event)));
    const fingers = new Map();
    let start = null;
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      fingers.set(event.pointerId, at(event));
      start = { at: at(event), moved: false };
      this.stage.setPointerCapture(event.pointerId);
    });
    this.stage.addEventListener("pointermove", (event) => {
      const [top, left] = at(event);
      this.#tell(top, left);
      const before = fingers.get(event.pointerId);
      if (!before) return;
      fingers.set(event.pointerId, [top, left]);
      if (fingers.size === 2) this.#pinch(fingers, event.pointerId, before);
      else this.#drag(before, [top, left], start);
    });
    const end = (event) => {
      const held = fingers.delete(event.pointerId);
      if (held && start && !start.moved && event.type === "pointerup") this.#pick(at(event));
      this.stage.classList.remove("dragging");
    };
    this.stage.addEventListener("pointerup", end);
    this.stage.addEventListener("pointercancel", end);
    this.stage.addEventListener("pointerleave", () => (this.readout.hidden = true));
  }

  #drag(before, now, start) {
    if (Math.hypot(now[0] - start.at[0], now[1] - start.at[1]) > 4) start.moved = true;
    if (!start.moved || !this.zoom) return;
    this.stage.classList.add("dragging");
    this.middle = this.centre.map((at, k) => at - (now[k] - before[k]) / this.factor);
    this.moved();
  }

  #pinch(fingers, moved, before) {
    const other = [...fingers].find(([id]) => id !== moved)[1];
    const now = fingers.get(moved);
    const far = (a) => Math.max(8, Math.hypot(a[0] - other[0], a[1] - other[1]));
    this.zoomBy(far(now) / far(before), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
  }

  #pick(at) {
    const [y, x] = this.back(...at);
    const pixel = this.pixel || 1;
    this.picked((y - 0.5) * pixel, (x - 0.5) * pixel, (14 / this.factor) * pixel);
  }

  /** Say what lies under the pointer: the value (of 256 steps between the limits) and the place. */
  #tell(top, left) {
    const part = this.detail?.pixels ? this.detail : this.base;
    const [y, x] = this.back(top, left);
    if (!part.pixels || y < 0 || x < 0 || y >= this.shape[0] || x >= this.shape[1]) {
      this.readout.hidden = true;
      return;
    }
    const [row, column] = [Math.floor((y - part.y) / part.block), Math.floor((x - part.x) / part.block)];
    const inside = row >= 0 && column >= 0 && row < part.shape[0] && column < part.shape[1];
    const grey = inside ? part.pixels[row * part.shape[1] + column] : null;
    const [low, high] = part.limits;
    const value = grey === null ? "" : `${grey === 0 ? "≤ " : grey === 255 ? "≥ " : "≈ "}${number(low + (grey / 255) * (high - low), 3)}`;
    const pixel = this.pixel;
    const where = pixel
      ? `x ${number((x - 0.5) * pixel, 4)} nm, y ${number((y - 0.5) * pixel, 4)} nm`
      : `x ${Math.floor(x)} px, y ${Math.floor(y)} px`;
    this.readout.textContent = `${where}   ${value}`;
    this.readout.hidden = false;
  }
}
