// Tables of the frame and of all frames, what fired, and notes, one behind each tab.

import * as api from "./api.js";
import { made } from "./format.js";
import * as panels from "./panels.js";
import { path } from "./store.js";
import { Table } from "./table.js";

const NOT_SHOWN = ["outlines"];
const FIRST = ["objects", "frames", "summary", "tracks", "defects"];

export class Tabs {
  /** `selected(row)` is told of an object that was chosen, `moved(frame)` of a row that belongs to a frame. */
  constructor(list, root, words, selected, moved) {
    this.list = list;
    this.root = root;
    this.words = words;
    this.selected = selected;
    this.moved = moved;
    this.open = "objects";
    this.names = [];
    this.rows = new Table(root, (row) => this.#chosen(row));
    this.notes = made("div", { class: "notes-box" });
    root.append(this.notes);
  }

  /** Name of the table that is open; of the objects where a list of notes is. */
  get table() {
    return this.open.startsWith("*") ? "objects" : this.open;
  }

  state(state) {
    this.said = state;
    const names = state.tables.filter((name) => !NOT_SHOWN.includes(name));
    const rank = (name) => (FIRST.indexOf(name) + 100) % 100 || (name === FIRST[0] ? 0 : 99);
    names.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
    const fires = state.running || state.fired.length > 0;
    const all = [...names, ...(fires ? ["*fired"] : []), "*notes"];
    if (all.join() !== this.names.join()) {
      this.names = all;
      if (!all.includes(this.open)) this.open = all[0];
      this.#build();
    }
    this.#badges();
    if (this.open.startsWith("*")) this.#fill();
  }

  look(look, row) {
    this.shownLook = look;
    this.row = row;
    if (this.open === "objects") this.#fill();
  }

  /** Ask again for a table that grows. */
  refresh() {
    if (this.open !== "objects") this.#fill();
  }

  select(row) {
    this.row = row;
    if (this.open === "objects") this.rows.select(row);
  }

  #build() {
    const words = { "*fired": "Triggers", "*notes": "Notes" };
    this.list.replaceChildren(
      ...this.names.map((name) =>
        made("button", { type: "button", role: "tab", "data-tab": name, "aria-controls": "table", onclick: () => this.#show(name) },
          words[name] || name.replaceAll("_", " "), made("span", { class: "badge" })),
      ),
    );
    this.list.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const at = (this.names.indexOf(this.open) + step + this.names.length) % this.names.length;
      this.#show(this.names[at]);
      this.list.children[at].focus();
    };
    this.#mark();
  }

  #mark() {
    for (const tab of this.list.children) {
      const on = tab.dataset.tab === this.open;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
    }
  }

  #badges() {
    const numbers = { "*fired": this.said.fired_in_all, "*notes": this.said.notes.length };
    for (const tab of this.list.children) {
      const number = numbers[tab.dataset.tab];
      const badge = tab.querySelector(".badge");
      badge.textContent = number ? String(number) : "";
      badge.classList.toggle("warns", tab.dataset.tab === "*notes" && this.said.notes.some(panels.warns));
    }
  }

  #show(name) {
    this.open = name;
    this.#mark();
    this.#fill();
  }

  async #fill() {
    const name = this.open;
    this.notes.hidden = name !== "*notes";
    this.rows.grid.hidden = name === "*notes";
    this.words.textContent = "";
    if (name === "*notes") panels.notes(this.notes, this.said);
    else if (name === "*fired") this.#put(panels.firedRows(this.said), { t_s: "s" });
    else if (name === "objects") this.#objects();
    else await this.#whole(name);
  }

  #objects() {
    const look = this.shownLook;
    if (!look) return;
    this.#put(look.objects, look.objects.units, new Map(look.kinds.map((kind) => [kind.name, kind.color])), `in frame ${look.frame}`);
    this.rows.select(this.row, false);
  }

  async #whole(name) {
    try {
      const data = await api.json(path(`tables/${name}`));
      if (this.open === name) this.#put(data, data.units);
    } catch (error) {
      panels.toast(error.message, "warn");
    }
  }

  #put(data, units, colors = null, where = "") {
    this.rows.show(data, units, colors);
    this.rows.selected = null;
    const shown = this.rows.length;
    const rows = data.rows === 1 ? "1 row" : `${data.rows} rows`;
    this.words.textContent = shown < data.rows ? `the first ${shown} of ${rows}; exports hold all` : `${rows} ${where}`;
  }

  #chosen(row) {
    if (this.open === "objects") {
      this.selected(row);
      return;
    }
    this.rows.select(row);
    const at = this.rows.data.columns.indexOf("frame");
    if (at >= 0 && this.rows.data.values[at][row] !== null) this.moved(this.rows.data.values[at][row]);
  }
}
