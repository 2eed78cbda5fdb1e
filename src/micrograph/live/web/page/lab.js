// Drop a file, get an answer: choose a file, see which recipes fit, run one, and show what it found.

import * as api from "./api.js";
import { bytes, made, number } from "./format.js";
import * as panels from "./panels.js";
import { Scales } from "./scales.js";

const POLL_MS = 700;
/** Recipes whose kind a file is less likely of are not asked for. */
const LEAST = 0.005;

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

  /** Show what a file holds, its scale as fields to fill in, and the recipes that fit, as each is known. */
  async propose(where) {
    this.#say(made("p", {}, "Opening the file …"), made("progress", {}));
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
      await this.#follow(said, where, scales, found, this.#turned());
    } catch (error) {
      this.#fault(error);
    }
  }

  /** Judge the recipes anew with what the user has filled in; the newest answer counts. */
  async #again(where, scales, found) {
    const turn = this.#turned();
    found.setAttribute("aria-busy", "true");
    try {
      const said = await api.post("/api/lab/open", { ...where, calibration: scales.given() });
      if (turn !== this.turn) return;
      scales.refuse("");
      found.removeAttribute("aria-busy");
      await this.#follow(said, where, scales, found, turn);
    } catch (error) {
      if (turn === this.turn) scales.refuse(error.message);
    } finally {
      if (turn === this.turn) found.removeAttribute("aria-busy");
    }
  }

  /** Begin something else: what was asked before is not shown any more. */
  #turned() {
    return (this.turn = (this.turn || 0) + 1);
  }

  /** Show recipes while the server tries them. */
  async #follow(said, where, scales, found, turn) {
    for (;;) {
      this.#show(said, where, scales, found);
      if (said.progress.ended) return;
      await new Promise((go) => setTimeout(go, POLL_MS));
      if (turn !== this.turn || !found.isConnected) {
        await api.post(`/api/lab/looks/${said.look}/stop`, {});
        return;
      }
      said = await api.json(`/api/lab/looks/${said.look}`);
      if (turn !== this.turn) return;
    }
  }

  #show(said, where, scales, found) {
    const { done, total, note, ended } = said.progress;
    const fits = said.proposals.some((one) => one.fits);
    const wanted = said.proposals.filter((one) => one.missing.length && (one.likeness === null || one.likeness >= LEAST));
    scales.want([...new Set(wanted.flatMap((one) => one.missing))]);
    const words = [total ? `${done} of ${total} recipes tried` : "", note].filter(Boolean).join(": ");
    const bar = made("div", { class: "trying", role: "status" }, made("progress", total ? { max: total, value: done } : {}), made("small", {}, words));
    const shown = said.proposals.filter((one) => one.fits || wanted.includes(one) || !one.tried);
    const others = said.proposals.filter((one) => !shown.includes(one));
    const cards = (list) => made("div", { class: "proposals" }, ...list.map((one) => this.#proposal(one, where, scales)));
    const open = found.querySelector("details")?.open || (ended && !shown.length);
    found.replaceChildren(
      made("h3", {}, fits ? "Recipes that fit" : ended ? "No recipe fits well" : "Recipes"),
      ...(ended ? (ended === "failed" ? [made("p", { class: "fault", role: "alert" }, note)] : []) : [bar]),
      cards(shown),
      ...(others.length ? [made("details", { class: "more", ...(open ? { open: "" } : {}) }, made("summary", {}, `${others.length} that do not fit, and why`), cards(others))] : []),
    );
  }

  #proposal(one, where, scales) {
    const told = [
      one.likeness === null || one.likeness < LEAST ? "" : `likely by its look: ${number(100 * one.likeness, 2)} %`,
      one.distance === null ? "" : `distance from what its network knows: ${number(one.distance, 2)}`,
    ].filter(Boolean).join(", ");
    const kind = one.fits ? "proposal" : one.tried ? "proposal unfit" : "proposal waiting";
    return made("article", { class: kind },
      made("div", {}, made("strong", {}, one.title), made("small", {}, one.recipe)),
      made("p", {}, one.reason),
      made("div", { class: "row-end" }, made("small", {}, told),
        made("button", { type: "button", class: one.fits ? "main" : "", onclick: () => this.run(one, where, scales) }, one.fits || one.missing.length ? "Run" : "Run anyway")));
  }

  async run(proposal, where, scales) {
    const order = { ...where, calibration: scales.given(), recipe: proposal.recipe };
    let job = null;
    try {
      ({ job } = await api.post("/api/lab/run", order));
    } catch (error) {
      scales.refuse(error.message);
      return;
    }
    await this.#wait(job, proposal, order);
  }

  /** Look for the frames of a file that are most worth a label. */
  async #suggest(proposal, order) {
    try {
      const { job } = await api.post("/api/lab/suggest", order);
      await this.#wait(job, { ...proposal, title: "Frames to label" }, order);
    } catch (error) {
      this.#fault(error);
    }
  }

  async #wait(job, proposal, order) {
    this.#turned();
    try {
      this.job = job;
      await this.#watch(job, proposal, order);
    } catch (error) {
      this.#fault(error);
    } finally {
      this.job = null;
    }
  }

  async #watch(job, proposal, order) {
    const bar = made("progress", { max: 1 });
    const words = made("p", { role: "status" });
    const stop = made("button", { type: "button", onclick: () => api.post(`/api/lab/jobs/${job}/stop`, {}) }, "Stop");
    this.#say(made("h3", {}, proposal.title), bar, words, stop);
    for (;;) {
      const said = await api.json(`/api/lab/jobs/${job}`);
      if (said.total) bar.value = said.done / said.total;
      words.textContent = [said.total ? `${said.done} of ${said.total}` : "Starting", said.note].filter(Boolean).join(": ");
      if (said.ended) {
        this.#ended(job, proposal, order, said);
        return;
      }
      await new Promise((go) => setTimeout(go, POLL_MS));
    }
  }

  #ended(job, proposal, order, said) {
    const another = made("button", { type: "button", onclick: () => this.list("") }, "Another file");
    if (said.ended !== "done") {
      this.#say(made("p", { class: "fault", role: "alert" }, said.note || "It was stopped."), another);
      return;
    }
    if (said.suggestions) {
      this.#suggested(job, said.suggestions, another);
      return;
    }
    const label = () => this.#suggest(proposal, order);
    const report = said.report ? `/api/lab/jobs/${job}/report` : null;
    const show = () => {
      this.open(said.view, report);
      this.dialog.close();
    };
    this.#say(made("h3", {}, `${proposal.title}: done`), made("p", {}, said.note), made("div", { class: "row-end" }, another,
      said.takes_labels ? made("button", { type: "button", onclick: label, title: "Which frames teach the network most when they are labelled" }, "Suggest frames to label") : null,
      report ? made("a", { href: report, target: "_blank", rel: "noopener", class: "button" }, "Open the report") : null,
      said.view ? made("button", { type: "button", class: "main", onclick: show }, "Show the result") : null));
  }

  /** Show what to label next, and how to go on. */
  #suggested(job, { told, command, pieces }, another) {
    const shown = pieces.map((one) =>
      made("figure", {}, made("img", { src: `/api/lab/jobs/${job}/suggestions/${one.rank}`, alt: `Frame ${one.frame}`, loading: "lazy" }),
        made("figcaption", {}, made("strong", {}, `${one.rank}. frame ${one.frame}`), made("small", {}, one.reason), made("small", { class: "file-name" }, one.file))));
    const copy = made("button", { type: "button", onclick: () => navigator.clipboard.writeText(command) }, "Copy");
    this.#say(made("h3", {}, "Worth a label, most of all the first"), made("div", { class: "suggestions" }, ...shown),
      made("p", {}, told), made("div", { class: "command" }, made("code", {}, command), copy), made("div", { class: "row-end" }, another));
  }
}
