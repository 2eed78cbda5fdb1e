// A table of any length: only the rows in the window are elements. Sorts by a click on a column's name.

import { label, made, number, rem, unit } from "./format.js";

const ROW_EM = 1.75;

export class Table {
  /** `chosen(row)` is told which row (of the data as it came) was chosen. */
  constructor(root, chosen) {
    this.root = root;
    this.chosen = chosen;
    this.data = { columns: [], values: [], rows: 0 };
    this.sort = null;
    this.selected = null;
    this.head = made("div", { class: "row head", role: "row" });
    this.body = made("div", { class: "rows", role: "rowgroup" });
    this.grid = made("div", { class: "grid", role: "grid", "aria-readonly": "true" }, this.head, this.body);
    root.append(this.grid);
    root.addEventListener("scroll", () => this.draw());
    root.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.draw()).observe(root);
  }

  /** Show rows: {columns, values: one list a column, rows: how many there are in all}; `units` by column. */
  show(data, units = {}, colors = null) {
    const same = data.columns.join() === this.data.columns.join();
    this.data = data;
    this.units = units;
    this.colors = colors;
    if (!same) {
      this.sort = null;
      this.root.scrollTop = this.root.scrollLeft = 0;
      this.widths = null;
    }
    this.#headline();
    this.#order();
    this.draw();
  }

  get length() {
    return this.data.values.length ? this.data.values[0].length : 0;
  }

  select(row, reveal = true) {
    this.selected = row;
    if (row !== null && reveal) {
      const at = this.order.indexOf(row) * this.tall;
      const room = this.root.clientHeight - this.head.offsetHeight;
      if (at < this.root.scrollTop) this.root.scrollTop = at;
      if (at + this.tall > this.root.scrollTop + room) this.root.scrollTop = at + this.tall - room;
    }
    this.draw();
  }

  get tall() {
    return Math.round(ROW_EM * rem());
  }

  #headline() {
    const widths = this.data.columns.map((name, k) => this.#width(name, this.data.values[k]));
    this.widths = this.widths?.length === widths.length ? this.widths.map((wide, k) => Math.max(wide, widths[k])) : widths;
    this.grid.style.setProperty("--columns", this.widths.map((wide) => `minmax(${wide}em, ${wide}fr)`).join(" "));
    this.grid.style.minWidth = `${this.widths.reduce((sum, wide) => sum + Number(wide), 0)}em`;
    this.head.replaceChildren(
      ...this.data.columns.map((name, k) => {
        const order = this.sort?.column === k ? (this.sort.down ? "descending" : "ascending") : "none";
        const said = unit(this.units[name]);
        const button = made("button", { type: "button", onclick: () => this.#sortBy(k), title: `Sort by ${name}` },
          made("span", {}, label(name, Boolean(said))), said ? made("small", {}, said) : null);
        const kind = this.#isText(k) ? "text" : "";
        return made("div", { role: "columnheader", class: kind, "aria-sort": order }, button);
      }),
    );
  }

  #isText(k) {
    return typeof this.data.values[k].find((value) => value !== null) === "string";
  }

  /** Width of a column in em: of its name in two lines, and of its longest entry among the first. */
  #width(name, values) {
    const said = values.slice(0, 60).map((value) => number(value).length);
    const words = Math.max(...name.split("_").map((word) => word.length)) + 1;
    return Math.min(22, 0.62 * Math.max(4, words, ...said) + 1.6).toFixed(1);
  }

  #sortBy(column) {
    const again = this.sort?.column === column;
    this.sort = again && this.sort.down ? null : { column, down: again };
    this.#headline();
    this.#order();
    this.draw();
  }

  #order() {
    this.order = Array.from({ length: this.length }, (_, k) => k);
    if (!this.sort || this.sort.column >= this.data.values.length) return;
    const values = this.data.values[this.sort.column];
    const sign = this.sort.down ? -1 : 1;
    this.order.sort((a, b) => {
      const [x, y] = [values[a], values[b]];
      if (x === y) return a - b;
      if (x === null) return 1; // what is missing comes last either way
      if (y === null) return -1;
      return sign * (x < y ? -1 : 1);
    });
  }

  draw() {
    const tall = this.tall;
    const first = Math.max(0, Math.floor(this.root.scrollTop / tall) - 4);
    const last = Math.min(this.length, first + Math.ceil(this.root.clientHeight / tall) + 9);
    this.body.style.height = `${this.length * tall}px`;
    this.grid.setAttribute("aria-rowcount", this.length + 1);
    const rows = [];
    for (let at = first; at < last; at++) rows.push(this.#row(at, tall));
    this.body.replaceChildren(...rows);
  }

  #row(at, tall) {
    const row = this.order[at];
    const cells = this.data.columns.map((name, k) => {
      const value = this.data.values[k][row];
      const text = typeof value === "string" || (value !== null && typeof value !== "number");
      const cell = made("div", { role: "gridcell", class: text ? "text" : "" });
      const kind = text && this.colors?.get(value);
      if (kind) {
        const dot = made("i", { class: "dot" });
        dot.style.setProperty("--key", kind);
        cell.append(dot);
      }
      cell.append(number(value));
      return cell;
    });
    const element = made("div", { role: "row", class: "row", "aria-rowindex": at + 2, "aria-selected": String(row === this.selected) }, ...cells);
    element.style.top = `${at * tall}px`;
    element.style.height = `${tall}px`;
    element.addEventListener("click", () => this.chosen(row));
    return element;
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 }[event.key];
    if (!step || !this.length || event.target !== this.root) return;
    event.preventDefault();
    event.stopPropagation();
    const at = this.selected === null ? -1 : this.order.indexOf(this.selected);
    this.chosen(this.order[Math.min(this.length - 1, Math.max(0, at + step))]);
  }
}
