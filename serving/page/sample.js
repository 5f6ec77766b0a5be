/* The sample that is being put together: the fields of one model, checked before they are sent. */

import { find } from "./elements.js";
import { inWords, without } from "./expected.js";
import { Field } from "./field.js";
import { addOptions, requiresAll } from "./options.js";
import { bytes, sentence } from "./words.js";

const ENVELOPE = 1000;
/* Bytes that a form adds to each part, at most. */

const EXTENSIONS = {
  "audio/wav": "wav", "video/mp4": "mp4", "image/png": "png", "text/plain": "txt", "application/json": "json",
};

/** What is said below the name of an input that may be left out; null where it may not. */
function optional(model, name) {
  if (!(model.may_be_missing ?? []).includes(name)) return null;
  const found = without(model, name);
  return `May be left empty${found === null ? "" : `: then ${inWords(found)}`}`;
}

export class Sample {
  #place = find("fields");
  #changed;
  #fields = [];
  #nothing = false;

  /** `changed` is called after every change of a field. */
  constructor(changed) {
    this.#changed = changed;
  }

  /** Show the fields of a model; content stays in fields that both models have. */
  async show(model) {
    const before = this.#fields;
    this.#fields = model.inputs.map((input) => new Field(input, (field) => this.#update(field), optional(model, input.name)));
    this.#place.replaceChildren(...this.#fields.map((field) => field.element));
    for (const field of this.#fields) {
      const same = before.find((old) => old.input.name === field.input.name && old.input.modality === field.input.modality);
      if (same?.content) await field.set(same.content.blob, same.content.name);
    }
    before.forEach((field) => field.close());
    this.#offerTwins();
  }

  /** Fill the fields with blobs by the names of the inputs; those without one are emptied. */
  async fill(blobs, name) {
    await Promise.all(this.#fields.map((field) => {
      const blob = blobs[field.input.name];
      if (blob === undefined) return field.clear();
      const extension = EXTENSIONS[blob.type.split(";")[0]];
      return field.set(blob, extension ? `${name}.${extension}` : name);
    }));
  }

  /** The form to send, or null where something must be corrected first; the page then says what. */
  form(model, limits) {
    this.#fields.forEach((field) => field.complain(null));
    const filled = this.#fields.filter((field) => field.content !== null);
    const empty = this.#fields.filter((field) => field.content === null);
    this.#nothing = filled.length === 0 && !requiresAll();
    if (this.#nothing || (requiresAll() && empty.length > 0)) {
      const advice = requiresAll() ? "Every field needs something." : "One field at least needs something.";
      empty.forEach((field) => field.complain(`${sentence(`${field.title} is missing`)} ${advice}`));
      return this.#refuse(empty[0]);
    }
    const form = new FormData();
    form.append("model", model.name);
    if (!addOptions(form)) return null;
    let size = 0;
    for (const field of filled) {
      const { blob, name } = field.content;
      form.append(field.input.name, blob, name);
      size += blob.size + ENVELOPE;
    }
    if (limits?.body && size > limits.body) {
      const largest = filled.reduce((one, other) => (other.content.blob.size > one.content.blob.size ? other : one));
      const whole = filled.length > 1 ? " with all its fields" : "";
      largest.complain(`Too large: this has ${bytes(largest.content.blob.size)}, and a request${whole} may have ${bytes(limits.body)}.`);
      return this.#refuse(largest);
    }
    return form;
  }

  #refuse(field) {
    field.focus();
    return null;
  }

  /** Show a refusal at the field it is about; false where there is no such field. */
  complain(refusal) {
    const field = this.#fields.find((candidate) => candidate.input.name === refusal.field);
    if (!field) return false;
    const exact = refusal.expected !== null && refusal.received !== null;
    field.complain(sentence(exact ? `Expected ${refusal.expected}, received ${refusal.received}` : refusal.message));
    field.focus();
    return true;
  }

  /** Whether a file can no longer be read, because it was changed or moved after it was chosen; says so at its field. */
  async complainUnreadable() {
    for (const field of this.#fields) {
      try {
        await field.content?.blob.slice(0, 1).arrayBuffer();
      } catch {
        field.complain("This file was changed or moved after it was chosen. Choose it again.");
        field.focus();
        return true;
      }
    }
    return false;
  }

  #update(field) {
    if (this.#nothing) this.#fields.forEach((other) => other.complain(null));
    this.#nothing = false;
    this.#offerTwins();
    this.#changed(field);
  }

  /** A clip with sound is both: offer it to the other field. */
  #offerTwins() {
    const [audio, video] = ["audio", "video"].map((name) => this.#fields.find((field) => field.input.modality === name));
    if (!audio || !video) return;
    this.#offer(audio, video, "Use the clip’s sound too", () => true);
    this.#offer(video, audio, "Use this clip’s pictures too", (blob) => blob.type.startsWith("video/"));
  }

  #offer(taker, giver, words, fits) {
    const given = giver.content;
    const wanted = given !== null && given.blob !== taker.content?.blob && fits(given.blob);
    const replaces = taker.content === null ? "" : ", instead of this file";
    taker.offer(wanted ? words + replaces : null, () => taker.set(given.blob, given.name));
  }
}
