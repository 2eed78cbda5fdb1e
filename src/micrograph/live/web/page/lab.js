// Drop a file, get an answer: choose a file, see which recipes fit, run one, and show what it found.

import * as api from "./api.js";
import { bytes, made, number } from "./format.js";
import * as panels from "./panels.js";
import { Scales } from "./scales.js";

const POLL_MS = 700;

/** Offer files where the server can open them; show the analysis that the page was started for, if there is one. */
export async function startLab(dialog, button, open) {
  const box = new LabBox(dialog, open);
  const { main, lab: files } = await api.json("/api/about");
  if (main) open("main");
  if (!files) {
    if (!main) panels.toast("There is nothing to show.", "warn", 0);
    return;
  }
  button.hidden = false;
  button.addEventListener("click", () => box.show());
  box.takesDrops();
  if (!main) {
    document.getElementById("title").textContent = "Drop a file, get an answer";
    document.getElementById("status").textContent = "ready";
    box.show();
  }
}

class LabBox {
  constructor(dialog, open) {
    this.dialog = dialog;
    this.body = dialog.querySelector("#lab-body");
    this.open = open;
    dialog.querySelector("#lab-close").addEventListener("click", () => dialog.close());
  }

  show() {
    this.dialog.showModal();
    if (!this.job) this.list("");
  }

  takesDrops() {
    let depth = 0;
    const over = (on) => document.body.classList.toggle("dropping", on);
    document.addEventListener("dragenter", () => over(++depth > 0));
    document.addEventListener("dragleave", () => over((depth = Math.max(0, depth - 1)) > 0));
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      depth = 0;
      over(false);
      if (event.dataTransfer.files.length) this.upload(event.dataTransfer.files[0]);
    });
  }

  #say(...parts) {
    this.body.replaceChildren(...parts);
  }

  #fault(error) {
    const back = made("button", { type: "button", onclick: () => this.list("") }, "Choose another file");
    this.#say(made("p", { class: "fault", role: "alert" }, error.message), back);
  }

  /** List a folder, with a place to drop files. */
  async list(folder) {
    try {
      const said = await api.json(`/api/lab/files?folder=${encodeURIComponent(folder)}`);
      const input = made("input", { type: "file", id: "lab-file", onchange: () => input.files[0] && this.upload(input.files[0]) });
      const zone = made("label", { class: "zone", for: "lab-file" }, made("strong", {}, "Drop a recording here"),
        made("span", {}, `or choose one from your disk (at most ${bytes(said.most_bytes)})`), input);
      const at = (name) => (said.folder === "." ? name : `${said.folder}/${name}`);
      const up = said.parent === null ? [] : [this.#entry("..", "folder above", () => this.list(said.parent))];
      const entries = said.entries.map((entry) =>
        entry.folder
          ? this.#entry(`${entry.name}/`, "", () => this.list(at(entry.name)), () => this.propose({ place: "folder", path: at(entry.name) }))
          : this.#entry(entry.name, bytes(entry.bytes), () => this.propose({ place: "folder", path: at(entry.name) })),
      );
      const where = said.folder === "." ? said.root : `${said.root}/${said.folder}`;
      this.#say(zone, made("h3", {}, `Or a file in ${where}`), made("div", { class: "files" }, ...up, ...entries));
    } catch (error) {
      this.#fault(error);
    }
  }

  #entry(name, more, opened, whole = null) {
    const open = made("button", { type: "button", class: "file", onclick: opened }, made("span", {}, name), made("small", {}, more));
    return whole ? made("div", { class: "folder" }, open, made("button", { type: "button", onclick: whole, title: "Open the folder's images as one recording" }, "as recording")) : open;
  }

  async upload(file) {
    if (!this.dialog.open) this.dialog.showModal();
    this.#say(made("p", {}, `Reading ${file.name} (${bytes(file.size)}) …`), made("progress", {}));
    try {
      await this.propose(await api.put(`/api/lab/upload?name=${encodeURIComponent(file.name)}`, file));
    } catch (error) {
      this.#fault(error);
    }
  }

  /** Show what a file holds, its scale as fields to fill in, and the recipes that fit. */
  async propose(where) {
    this.#say(made("p", {}, "Looking at the file …"), made("progress", {}));
    try {
      const said = await api.post("/api/lab/open", where);
      const facts = Object.entries(said.facts).flatMap(([name, value]) => [made("dt", {}, name), made("dd", {}, value)]);
      const found = made("section", { "aria-live": "polite" });
      const scales = new Scales(said.scales, () => this.#again(where, scales, found));
      this.#say(
        made("h3", {}, said.name),
        made("dl", { class: "facts" }, ...facts),
        made("h3", {}, "Scale"),
        scales.element,
        found,
        made("button", { type: "button", onclick: () => this.list("") }, "Another file"),
      );
      this.#show(said, where, scales, found);
    } catch (error) {
      this.#fault(error);
    }
  }

  /** Judge the recipes anew with what the user has filled in; the newest answer counts. */
  async #again(where, scales, found) {
    const turn = (this.turn = (this.turn || 0) + 1);
    found.setAttribute("aria-busy", "true");
    try {
      const said = await api.post("/api/lab/open", { ...where, calibration: scales.given() });
      if (turn !== this.turn) return;
      scales.refuse("");
      this.#show(said, where, scales, found);
    } catch (error) {
      if (turn === this.turn) scales.refuse(error.message);
    } finally {
      if (turn === this.turn) found.removeAttribute("aria-busy");
    }
  }

  #show(said, where, scales, found) {
    scales.want([...new Set(said.proposals.flatMap((one) => one.missing))]);
    found.replaceChildren(
      made("h3", {}, said.proposals.some((one) => one.fits) ? "Recipes that fit" : "No recipe fits well"),
      made("div", { class: "proposals" }, ...said.proposals.map((one) => this.#proposal(one, where, scales))),
    );
  }

  #proposal(one, where, scales) {
    const distance = one.distance === null ? "" : `distance from what its model knows: ${number(one.distance, 2)}`;
    return made("article", { class: one.fits ? "proposal" : "proposal unfit" },
      made("div", {}, made("strong", {}, one.title), made("small", {}, one.recipe)),
      made("p", {}, one.reason),
      made("div", { class: "row-end" }, made("small", {}, distance),
        made("button", { type: "button", class: one.fits ? "main" : "", onclick: () => this.run(one, where, scales) }, one.fits || one.missing.length ? "Run" : "Run anyway")));
  }

  async run(proposal, where, scales) {
    let job = null;
    try {
      ({ job } = await api.post("/api/lab/run", { ...where, calibration: scales.given(), recipe: proposal.recipe }));
    } catch (error) {
      scales.refuse(error.message);
      return;
    }
    this.turn = (this.turn || 0) + 1;
    try {
      this.job = job;
      await this.#watch(job, proposal);
    } catch (error) {
      this.#fault(error);
    } finally {
      this.job = null;
    }
  }

  async #watch(job, proposal) {
    const bar = made("progress", { max: 1 });
    const words = made("p", { role: "status" });
    const stop = made("button", { type: "button", onclick: () => api.post(`/api/lab/jobs/${job}/stop`, {}) }, "Stop");
    this.#say(made("h3", {}, proposal.title), bar, words, stop);
    for (;;) {
      const said = await api.json(`/api/lab/jobs/${job}`);
      if (said.total) bar.value = said.done / said.total;
      words.textContent = [said.total ? `${said.done} of ${said.total}` : "Starting", said.note].filter(Boolean).join(": ");
      if (said.ended) {
        this.#ended(job, proposal, said);
        return;
      }
      await new Promise((go) => setTimeout(go, POLL_MS));
    }
  }

  #ended(job, proposal, said) {
    const another = made("button", { type: "button", onclick: () => this.list("") }, "Another file");
    if (said.ended !== "done") {
      this.#say(made("p", { class: "fault", role: "alert" }, said.note || "It was stopped."), another);
      return;
    }
    const report = said.report ? `/api/lab/jobs/${job}/report` : null;
    const show = () => {
      this.open(said.view, report);
      this.dialog.close();
    };
    this.#say(made("h3", {}, `${proposal.title}: done`), made("p", {}, said.note), made("div", { class: "row-end" }, another,
      report ? made("a", { href: report, target: "_blank", rel: "noopener", class: "button" }, "Open the report") : null,
      said.view ? made("button", { type: "button", class: "main", onclick: show }, "Show the result") : null));
  }
}
