/* One input of a model on the page: a file that is chosen or dropped, or text, with its preview and its error. */

import { icon, make } from "./elements.js";
import { modality, title } from "./modalities.js";
import { preview, summary } from "./preview.js";
import { bytes, capital, several } from "./words.js";

const TYPED_AT_MOST = 100_000;

export class Field {
  #file = null;
  #release = () => {};
  #changed;

  /** `changed` is called after every change of the content; `optional` says what leaving it empty means, or is null. */
  constructor(input, changed, optional) {
    this.input = input;
    this.optional = optional;
    this.title = title(input);
    this.#changed = changed;
    this.#build();
  }

  /** What is to be sent, as `{blob, name}`; null for nothing. Text is a blob too: forms would change its line ends. */
  get content() {
    if (this.#file !== null) return this.#file;
    const text = this.text?.value ?? "";
    return text.trim() === "" ? null : { blob: new Blob([text], { type: "text/plain" }), name: `${this.input.name}.txt` };
  }

  /** Take a blob: as text where text is typed and this is short, else as a file. */
  async set(blob, name) {
    this.complain(null);
    if (this.input.field === "string" || (this.input.field === "object" && !(blob instanceof File))) {
      if (await this.#type(blob)) return;
    }
    this.#hold({ blob, name });
    this.#changed(this);
  }

  async #type(blob) {
    if (blob.size > TYPED_AT_MOST) return false;
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(await blob.arrayBuffer());
      this.#hold(null);
      this.text.value = text;
      this.#typed();
      return true;
    } catch {
      return false;
    }
  }

  clear() {
    this.#hold(null);
    if (this.text) this.text.value = "";
    this.complain(null);
    this.#changed(this);
  }

  /** Say what is wrong with the content; null takes it back. */
  complain(words) {
    this.error.textContent = words ?? "";
    this.error.hidden = words === null;
    this.element.classList.toggle("faulty", words !== null);
    for (const control of [this.text, this.chooser]) {
      if (words === null) control?.removeAttribute("aria-invalid");
      else control?.setAttribute("aria-invalid", "true");
    }
  }

  focus() {
    (this.text && !this.text.hidden ? this.text : this.chooser).focus();
    this.element.scrollIntoView({ block: "nearest" });
  }

  /** Offer something about another field; null takes the offer back. */
  offer(words, take) {
    this.offered.replaceChildren();
    if (words === null) return;
    const button = make("button", { type: "button", class: "link" }, words);
    button.addEventListener("click", () => {
      take();
      this.focus();
    });
    this.offered.append(button);
  }

  /** Free what the preview holds. */
  close() {
    this.#release();
  }

  #hold(file) {
    this.#release();
    this.#release = () => {};
    this.#file = file;
    this.shown.replaceChildren();
    this.removal.replaceChildren();
    this.zone.classList.toggle("held", file !== null);
    if (this.text) this.text.hidden = file !== null;
    if (file !== null && this.text) this.text.value = "";
    this.label.textContent = file === null ? "Choose a file" : "Choose another";
    if (file === null) return;
    const facts = make("span", { class: "hint" }, bytes(file.blob.size));
    const tell = (more) => facts.replaceChildren([bytes(file.blob.size), ...more].filter(Boolean).join(" · "));
    const made = preview(modality(this.input.modality).shown, file.blob, file.name, tell);
    this.#release = made.release;
    const remove = make("button", { type: "button", class: "link", "aria-label": `Remove ${this.title}` }, "Remove");
    remove.addEventListener("click", () => {
      this.clear();
      this.focus();
    });
    if (made.element) this.shown.append(made.element);
    this.shown.append(make("p", { class: "facts" }, make("span", { class: "name" }, file.name), facts));
    this.removal.replaceChildren(remove);
  }

  #typed() {
    this.complain(null);
    this.shown.replaceChildren();
    if (this.input.field === "object" && this.text.value.trim() !== "") {
      this.shown.append(make("div", { class: "preview values" }, ...summary(this.text.value)));
    }
    this.#changed(this);
  }

  #build() {
    const name = this.input.name;
    const known = modality(this.input.modality);
    const heading = `title-${name}`;
    const described = `hint-${name} optional-${name} error-${name}`;
    this.error = make("p", { class: "error", id: `error-${name}`, hidden: true });
    this.shown = make("div", { class: "shown" });
    this.offered = make("p", { class: "offered" });
    this.chooser = make("input", {
      type: "file", id: `file-${name}`, class: "unseen", accept: known.accept,
      "aria-labelledby": `label-${name} ${heading}`, "aria-describedby": described,
    });
    this.chooser.addEventListener("change", () => {
      this.#take(this.chooser.files);
      this.chooser.value = "";
    });
    this.label = make("label", { for: `file-${name}`, id: `label-${name}`, class: "button" }, "Choose a file");
    if (this.input.field !== "file") {
      this.text = make("textarea", {
        id: `text-${name}`, rows: this.input.field === "object" ? 4 : 3, spellcheck: this.input.field === "string" ? null : "false",
        "aria-labelledby": heading, "aria-describedby": described, class: this.input.field === "object" ? "code" : null,
      });
      this.text.addEventListener("input", () => this.#typed());
    }
    this.removal = make("span", { class: "removal" });
    this.zone = make("div", { class: "zone" }, this.chooser, this.label, make("span", { class: "hint" }, "or drop it here"), this.removal);
    this.element = make(
      "div",
      { class: "field", role: "group", "aria-labelledby": heading, "data-modality": this.input.modality, "data-input": name },
      make("div", { class: "head" },
        make("span", { class: "badge" }, icon(known.icon)),
        make("h3", { id: heading }, capital(this.title)),
        make("span", { class: "hint", id: `hint-${name}` }, known.hint),
        make("span", { class: "hint", id: `optional-${name}`, hidden: this.optional === null }, this.optional ?? "")),
      this.error, this.text, this.shown, this.zone, this.offered,
    );
    this.#receive();
  }

  #take(files) {
    if (files.length === 0) return;
    if (files.length > 1) {
      this.complain(`One file is expected here, ${several(files.length, "file")} were given.`);
      return;
    }
    this.set(files[0], files[0].name);
  }

  #receive() {
    const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
    const over = (is) => this.element.classList.toggle("over", is);
    for (const kind of ["dragenter", "dragover"]) {
      this.element.addEventListener(kind, (event) => {
        if (!carriesFiles(event)) return;
        event.preventDefault();
        event.dataTransfer.dropEffect = "copy";
        over(true);
      });
    }
    this.element.addEventListener("dragleave", (event) => {
      if (!this.element.contains(event.relatedTarget)) over(false);
    });
    this.element.addEventListener("drop", (event) => {
      over(false);
      if (!carriesFiles(event)) return;
      event.preventDefault();
      this.#take(event.dataTransfer.files);
    });
  }
}
