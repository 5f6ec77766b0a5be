/* What must not be missed in an answer: that a person should look, that an input is unusual, that they disagree. */

import { make } from "./elements.js";
import { expectation, share } from "./expected.js";
import { capital, listed, percent, quoted } from "./words.js";

/** The flags of an answer as `{kind, title, words}`, the gravest first; `below` is what was asked for, or null. */
export function flags(answer, model, below) {
  const found = [];
  const [best] = answer.predictions;
  if (answer.abstain) {
    const limit = below ?? model.abstain_below;
    const than = limit === null || limit === undefined ? "what was asked for" : `the ${percent(limit)} asked for`;
    found.push({ kind: "abstain", title: "Better ask a person.", words: `${percent(best.probability)} is less than ${than}.` });
  }
  if (answer.unusual.length > 0) {
    const far = answer.unusual.map((name) => `${name} (${times(answer.modalities[name]?.shift)})`);
    const words = `${capital(listed(far))} ${far.length > 1 ? "lie" : "lies"} too far from the training data for any number here to be relied on.`;
    found.push({ kind: "unusual", title: `Unusual ${answer.unusual.length > 1 ? "inputs" : "input"}.`, words });
  }
  if (answer.disagreement) {
    const own = Object.entries(answer.modalities).map(([name, said]) => `${name} ${quoted(said.label)}`);
    found.push({ kind: "disagreement", title: "The modalities disagree.", words: `Alone they would choose: ${listed(own)}.` });
  }
  if (answer.missing.length > 0) {
    found.push({ kind: "missing", title: `Answered without ${listed(answer.missing)}.`, words: expected(answer, model) });
  }
  return found;
}

const times = (shift) => (typeof shift === "number" ? `${shift.toFixed(1)} times the usual limit` : "unusual");

function expected(answer, model) {
  const some = expectation(model, Object.keys(answer.modalities));
  const all = expectation(model, model.inputs.map((input) => input.name));
  if (some === null) return "";
  return `So the model was right for ${share(some)} of its test samples${all === null ? "" : `, with everything for ${share(all)}`}.`;
}

/** The list of flags; null for none. */
export function flagList(found) {
  if (found.length === 0) return null;
  return make("ul", { class: "flags", role: "list" },
    ...found.map(({ kind, title, words }) => make("li", { class: "flag", "data-flag": kind }, make("b", {}, title), " ", words)));
}
