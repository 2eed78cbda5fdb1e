// The calibration of a file: what it says, and fields to fill in what it does not say or says wrongly.

import { made } from "./format.js";

/** Fields that are always shown; the others are folded away unless a recipe misses them or the user filled them in. */
const USUAL = ["pixel_nm", "frame_time_s"];
/** A field is left by a click, which must reach its button before what the value changes moves the button. */
const CLICK_MS = 300;

export class Scales {
  /** `changed` is called when the user has filled in or corrected a value. */
  constructor(scales, changed) {
    this.fault = made("p", { class: "fault", role: "alert", hidden: "" });
    this.fields = scales.map((scale) => this.#field(scale, changed));
    const usual = this.fields.filter((field) => USUAL.includes(field.name));
    const more = this.fields.filter((field) => !USUAL.includes(field.name));
    this.more = made("details", { class: "more" }, made("summary", {}, "Microscope: voltage, angles, dose"),
      made("div", { class: "scales" }, ...more.flatMap((field) => field.parts)));
    this.element = made("form", { onsubmit: (event) => event.preventDefault() },
      made("div", { class: "scales" }, ...usual.flatMap((field) => field.parts)), this.more, this.fault);
  }

  #field(scale, changed) {
    const id = `scale-${scale.name}`;
    const input = made("input", { id, type: "text", autocomplete: "off", spellcheck: "false", maxlength: "100",
      placeholder: `for example ${scale.example}`, "aria-describedby": `${id}-origin` });
    input.value = scale.given || scale.file;
    input.addEventListener("change", () => setTimeout(changed, CLICK_MS));
    const origin = made("small", { id: `${id}-origin` });
    const field = { name: scale.name, file: scale.file, input, origin, parts: [made("label", { for: id }, scale.label), input, origin] };
    input.addEventListener("input", () => this.#tell(field));
    this.#tell(field);
    return field;
  }

  #tell(field) {
    const given = said(field);
    field.input.classList.remove("wanted");
    if (given) field.origin.textContent = field.file ? `yours; the file says ${field.file}` : "yours";
    else field.origin.textContent = field.file ? "from the file" : "not in the file";
  }

  /** What the user says, by name; what is left as the file says it is not among it. */
  given() {
    return Object.fromEntries(this.fields.filter(said).map((field) => [field.name, said(field)]));
  }

  /** Mark the fields that recipes miss. */
  want(names) {
    for (const field of this.fields) field.input.classList.toggle("wanted", names.includes(field.name));
    const folded = this.fields.filter((field) => !USUAL.includes(field.name));
    if (folded.some((field) => names.includes(field.name) || said(field))) this.more.open = true;
  }

  /** Say in one sentence what is wrong, or nothing. */
  refuse(sentence) {
    this.fault.textContent = sentence;
    this.fault.hidden = !sentence;
    if (sentence) this.fault.scrollIntoView({ block: "nearest" });
  }
}

function said(field) {
  const text = field.input.value.trim();
  return text === field.file ? "" : text;
}
