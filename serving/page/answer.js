/* The answer drawn: every class as a bar, what adds up to it, what each modality says by itself, what to note. */

import { contributions } from "./contributions.js";
import { find, icon, make } from "./elements.js";
import { flagList, flags } from "./flags.js";
import { modality, title } from "./modalities.js";
import { capital, listed, milliseconds, percent, quoted } from "./words.js";

const SHOWN = 10;
const STAGES = {
  receive: "reading the request",
  decode: "decoding the files",
  queue: "waiting for others",
  infer: "running the model",
};

/** Show an answer to a sample of this model; `elapsed` is in milliseconds, `below` what the page asked for, or null. */
export function showAnswer(answer, model, elapsed, below) {
  const [best] = answer.predictions;
  const shown = [
    make("p", { class: "stale notice", id: "stale", hidden: true }, "The sample was changed since. Press Predict for its answer."),
    make("p", { class: answer.abstain ? "verdict abstains" : "verdict" },
      make("span", { class: "label" }, best.label), " ", make("span", { class: "number" }, percent(best.probability))),
    flagList(flags(answer, model, below)),
    contributions(answer, model),
    alone(answer, model),
    classes(answer.predictions),
    times(answer.timing, elapsed),
    ...calibration(model),
    make("details", {}, make("summary", {}, "The answer as JSON"),
      make("pre", { tabindex: "0", role: "region", "aria-label": "The answer as JSON" }, JSON.stringify(answer, null, 2))),
  ];
  find("result").replaceChildren(...shown.filter((part) => part !== null));
}

/** What the place of the answer shows before there is one. */
export function showNothing() {
  const ghost = () => make("span", { class: "ghost" });
  find("result").replaceChildren(
    make("div", { class: "ghosts", "aria-hidden": "true" }, ghost(), ghost(), ghost()),
    make("p", { class: "hint" }, "Fill the fields and press Predict. Here you then see the class, what each modality adds to it, and what it says by itself."),
  );
}

/** Say that the answer belongs to what the fields held before. */
export function showStale() {
  const note = find("stale");
  if (note) note.hidden = false;
}

/** The answer in a few words, for the live region. */
export function spoken(answer, model, below) {
  const [best] = answer.predictions;
  const own = Object.entries(answer.modalities).map(([name, said]) => `${name} alone ${percent(said.confidence)}`);
  const noted = flags(answer, model, below).map(({ title: words }) => ` ${words}`);
  return `Predicted: ${best.label}, ${percent(best.probability)}; ${listed(own)}.${noted.join("")}`;
}

function bar(name, probability, properties = {}, note = null) {
  const fill = make("span", { class: "fill" });
  fill.style.inlineSize = `${probability * 100}%`;
  return make("li", properties,
    make("span", { class: "name" }, name),
    make("span", { class: "track", "aria-hidden": "true" }, fill),
    make("span", { class: "number" }, percent(probability)),
    note);
}

function alone(answer, model) {
  const [best] = answer.predictions;
  const rows = model.inputs.filter((input) => input.name in answer.modalities).map((input) => {
    const said = answer.modalities[input.name];
    const agrees = said.label === best.label;
    const note = make("span", { class: agrees ? "note" : "note differs" },
      agrees ? "would choose it too" : `would choose ${quoted(said.label)}`);
    const name = make("span", {}, icon(modality(input.modality).icon), `${capital(title(input))} alone`);
    return bar(name, said.confidence, { "data-input": input.name, "data-modality": input.modality }, note);
  });
  return make("section", { class: "alone" },
    make("h3", {}, `How sure of ${quoted(best.label)}`),
    make("ul", { class: "bars", role: "list" },
      bar("Together", best.probability, { class: "together" }, make("span", { class: "note" }, "the answer")), ...rows),
    make("p", { class: "explained" }, explanation(answer)));
}

/** The bars in words: who carries the answer, who would have chosen otherwise. */
function explanation(answer) {
  const [best] = answer.predictions;
  const said = Object.entries(answer.modalities);
  const others = said.filter(([, own]) => own.label !== best.label).map(([name]) => name);
  const sorted = [...said].sort(([, one], [, other]) => other.confidence - one.confidence);
  const [most, least] = [sorted[0], sorted.at(-1)];
  let words;
  if (said.length === 1) words = others.length > 0 ? `By its own share ${said[0][0]} would choose ${quoted(said[0][1].label)}.` : `Only ${said[0][0]} was given.`;
  else if (others.length === said.length) words = `No modality would choose ${quoted(best.label)} by itself; together they do.`;
  else if (others.length > 0) words = `${capital(listed(others))} would choose differently alone, and the rest of the evidence outweighs that.`;
  else if (most[1].confidence - least[1].confidence > 0.2) words = `All would choose this class alone, ${most[0]} with the most certainty, ${least[0]} with the least.`;
  else words = "All would choose this class alone, about equally sure.";
  return `${words} The model adds up one share of evidence for each modality; a bar shows how probable ${quoted(best.label)} would be from that share alone.`;
}

function classes(predictions) {
  const list = make("ol", { class: "bars", role: "list", id: "classes" },
    ...predictions.map((entry, index) =>
      bar(entry.label, entry.probability, { class: index === 0 ? "best" : null, hidden: index >= SHOWN })));
  const section = make("section", { class: "classes" }, make("h3", {}, "Every class"), list);
  if (predictions.length > SHOWN) {
    const all = `Show all ${predictions.length} classes`;
    const toggle = make("button", { type: "button", class: "link", "aria-expanded": "false", "aria-controls": "classes" }, all);
    toggle.addEventListener("click", () => {
      const open = toggle.getAttribute("aria-expanded") === "false";
      toggle.setAttribute("aria-expanded", String(open));
      toggle.textContent = open ? `Show the first ${SHOWN} alone` : all;
      [...list.children].slice(SHOWN).forEach((row) => (row.hidden = !open));
    });
    section.append(toggle);
  }
  return section;
}

function times(timing, elapsed) {
  const { total, ...stages } = timing;
  const known = Object.entries(stages).filter(([, value]) => typeof value === "number");
  const line = make("div", { class: "stages", "aria-hidden": "true" });
  const words = make("dl", { class: "times" });
  known.forEach(([name, value], index) => {
    const part = make("span", { class: `stage stage-${index % 4}` });
    part.style.flexGrow = String(value);
    line.append(part);
    words.append(make("div", {},
      make("dt", {}, make("span", { class: `key stage-${index % 4}`, "aria-hidden": "true" }), capital(name)),
      make("dd", {}, milliseconds(value), make("span", { class: "hint" }, STAGES[name] ?? ""))));
  });
  const sum = make("p", { class: "hint" }, `${milliseconds(total)} in the service, ${milliseconds(elapsed)} as seen from this page.`);
  return make("section", { class: "timing" }, make("h3", {}, "Where the time went"), line, words, sum);
}

function calibration(model) {
  const found = model.calibration;
  const temperatures = found ? [found.fused, ...Object.values(found.shares ?? {}), ...Object.values(found.coalitions ?? {})] : [];
  const calibrated = temperatures.some((value) => value !== 1);
  if (calibrated) return [];
  return [make("p", { class: "hint" },
    "This model’s probabilities are not calibrated: compare them, but do not read 80 % as “right in four of five cases”.")];
}
