/* What adds up to the answer: from what is probable without anything, one bar for each modality, to the probability. */

import { icon, make } from "./elements.js";
import { modality, title } from "./modalities.js";
import { capital, listed, percent, points, quoted } from "./words.js";

/** The section that draws and explains it. */
export function contributions(answer, model) {
  const [best] = answer.predictions;
  let reached = answer.baseline;
  const rows = [step("Without anything", 0, reached, percent(reached), { class: "start" })];
  for (const input of model.inputs) {
    const name = named(input);
    const own = answer.modalities[input.name];
    const marked = { "data-input": input.name, "data-modality": input.modality };
    if (own === undefined) {
      rows.push(step(name, reached, reached, "not given", { ...marked, class: "absent" }));
      continue;
    }
    const next = reached + own.contribution;
    rows.push(step(name, reached, next, points(own.contribution), { ...marked, class: own.contribution < 0 ? "lowers" : "raises" }));
    reached = next;
  }
  rows.push(step("The answer", 0, best.probability, percent(best.probability), { class: "sum" }, reached));
  return make("section", { class: "contributions" },
    make("h3", {}, `What adds up to ${percent(best.probability)} for ${quoted(best.label)}`),
    make("ul", { class: "bars", role: "list" }, ...rows),
    make("p", { class: "explained" }, explanation(answer, best)));
}

const named = (input) => make("span", {}, icon(modality(input.modality).icon), capital(title(input)));

/** A bar between two probabilities, and a thread from where the row above ended. */
function step(name, from, to, number, properties, thread = from) {
  const place = (share) => `${Math.min(1, Math.max(0, share)) * 100}%`;
  const fill = make("span", { class: "fill" });
  fill.style.insetInlineStart = place(Math.min(from, to));
  fill.style.inlineSize = place(Math.abs(to - from));
  const line = make("span", { class: "thread" });
  line.style.insetInlineStart = place(thread);
  return make("li", properties,
    make("span", { class: "name" }, name),
    make("span", { class: "track", "aria-hidden": "true" }, fill, properties.class === "start" ? null : line),
    make("span", { class: "number" }, number));
}

function explanation(answer, best) {
  const said = Object.entries(answer.modalities);
  const moved = said.map(([name, own]) =>
    `${name} ${own.contribution < 0 ? "lowers" : "raises"} that by ${points(Math.abs(own.contribution)).replace("+", "")}`);
  const start = `Given nothing at all, the model holds ${quoted(best.label)} for ${percent(answer.baseline)} probable; ${listed(moved)}.`;
  return said.length < 2 ? start : `${start} Each counts as the average over the orders in which they could have come (its Shapley value), so that nothing is left over.`;
}
