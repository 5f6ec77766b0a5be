/* The page: asks for the models, gathers a sample, asks for its answer, and says in words what goes wrong. */

import { showAnswer, showNothing, showStale, spoken } from "./answer.js";
import { find, make } from "./elements.js";
import { askForKey, hideKey } from "./key.js";
import { expectation, inWords } from "./expected.js";
import { clearAlert, showAlert, showWaiting } from "./notices.js";
import { complainOption, showOptions } from "./options.js";
import { Sample } from "./sample.js";
import * as service from "./service.js";
import { listed, quoted, several } from "./words.js";

const AGAIN = 5;
const LABELS_TOLD = 6;

const state = { models: [], limits: null, model: null, examples: 0, running: null, changed: false, filling: null };
const sample = new Sample(() => {
  if (find("alert").childElementCount > 0 && state.running === null) clearAlert();
  state.changed = true;
  showStale();
});

const status = (words) => (find("status").textContent = words);

async function load() {
  let found;
  try {
    found = await service.models();
  } catch (error) {
    if (error.status === 401) return askForKey(error, load);
    const passing = error instanceof service.Unreachable || error.status === 503;
    const seconds = passing ? Math.max(1, error.wait ?? AGAIN) : null;
    const words = error.status === 503 ? `The service is not ready yet: ${error.message}.` : error.message;
    return showWaiting(words, seconds, load);
  }
  hideKey();
  state.models = found.models;
  state.limits = found.limits ?? null;
  if (state.models.length === 0) return showWaiting("The service has no model loaded.", null, load);
  showWaiting(null);
  find("workplace").hidden = false;
  find("forget").hidden = !service.hasKey();
  const options = state.models.map((model) =>
    make("option", { value: model.name }, `${model.name}: ${listed(model.inputs.map((input) => input.name))}`));
  find("model").replaceChildren(...options);
  find("model").value = named() ?? state.models[0].name;
  await choose();
  if (service.hasKey() && document.activeElement === document.body) find("sample").focus();
}

/** The model that the address names behind its #, if there is one. */
function named() {
  const wanted = state.models.find((model) => `#${encodeURIComponent(model.name)}` === location.hash || `#${model.name}` === location.hash);
  return wanted?.name;
}

/** Show the fields of the model that is chosen. */
async function choose() {
  stop();
  state.filling?.abort();
  const model = state.models.find((candidate) => candidate.name === find("model").value);
  Object.assign(state, { model, examples: 0 });
  history.replaceState(null, "", `#${encodeURIComponent(model.name)}`);
  clearAlert();
  complainModel(null);
  const told = model.labels.slice(0, LABELS_TOLD).map(quoted);
  const rest = model.labels.length - told.length;
  const names = rest > 0 ? `${told.join(", ")} and ${rest} more` : listed(told);
  const right = expectation(model, model.inputs.map((input) => input.name));
  const measured = right === null ? "" : ` With every field, ${inWords(right)}; the range holds with 95\u202f% confidence.`;
  find("about").textContent = `Tells ${several(model.labels.length, "class", "classes")} apart: ${names}.${measured}`;
  showOptions(model);
  find("example-row").hidden = model.examples.length === 0;
  find("example").textContent = "Use an example";
  status("");
  showNothing();
  await sample.show(model);
}

/** Fill the fields with the next example. */
async function useExample() {
  state.filling?.abort();
  const filling = (state.filling = new AbortController());
  const { model } = state;
  const index = state.examples % model.examples.length;
  const has = model.examples[index];
  clearAlert();
  try {
    const blobs = await Promise.all(has.map((name) => service.example(model.name, index, name, filling.signal)));
    if (filling.signal.aborted) return;
    await sample.fill(Object.fromEntries(has.map((name, place) => [name, blobs[place]])), `example-${index + 1}`);
    state.examples = index + 1;
    find("example").textContent = model.examples.length > 1 ? "Use another example" : "Use the example again";
    const lacking = model.inputs.map((input) => input.name).filter((name) => !has.includes(name));
    const but = lacking.length > 0 ? `, but for ${listed(lacking)}, which it lacks` : "";
    status(`Example ${index + 1} of ${model.examples.length} fills the fields${but}.`);
  } catch (error) {
    if (error.name !== "AbortError") await report(error, useExample);
  }
}

async function predict() {
  if (state.running !== null) return;
  clearAlert();
  complainModel(null);
  status("");
  const form = sample.form(state.model, state.limits);
  if (form === null) return;
  const running = new AbortController();
  const { model } = state;
  const below = form.has("abstain_below") ? Number(form.get("abstain_below")) : null;
  state.changed = false;
  working(running);
  const began = performance.now();
  try {
    const answer = await service.predict(form, running.signal);
    if (running.signal.aborted) return;
    showAnswer(answer, model, performance.now() - began, below);
    if (state.changed) showStale();
    status(spoken(answer, model, below));
    reveal();
  } catch (error) {
    if (error.name === "AbortError") return;
    status("");
    await report(error, predict);
  } finally {
    if (state.running === running) working(null);
  }
}

/** Show that a prediction runs, or that none does. */
function working(running) {
  state.running = running;
  const busy = running !== null;
  find("predict").setAttribute("aria-disabled", String(busy));
  find("cancel").hidden = !busy;
  find("progress").hidden = !busy;
  find("answer").setAttribute("aria-busy", String(busy));
  if (busy) status("Sending the sample and waiting for its answer…");
}

/** End the prediction that runs, if one does. */
function stop() {
  state.running?.abort();
  if (state.running !== null) working(null);
}

function cancel() {
  const focused = document.activeElement === find("cancel");
  stop();
  status("Cancelled. The service was told to drop it.");
  if (focused) find("predict").focus();
}

/** Where the answer lies above or below what one looks at, as on a narrow screen, go there. */
function reveal() {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const answer = find("answer");
  const { top } = answer.getBoundingClientRect();
  if (top < 0 || top > innerHeight * 0.6) {
    answer.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
  }
}

/** Say what went wrong, where it belongs; `again` is what may be tried once more. */
async function report(error, again) {
  if (error.status === 401) return askForKey(error, again);
  if (error instanceof service.Refusal) {
    if (error.field === "model") return complainModel(error);
    if (error.field === "abstain_below") return complainOption(error.field, error.message);
    if (error.field !== null && sample.complain(error)) return;
    const passing = [500, 502, 503, 504].includes(error.status);
    return showAlert(error.title, error.message, { wait: error.wait, again: passing ? again : null, request: error.request });
  }
  if (error instanceof service.Unreachable) {
    if (await sample.complainUnreadable()) return;
    return showAlert("No answer", error.message, { again });
  }
  showAlert("The page itself failed", `${error.message}. Reload it; if that does not help, tell whoever runs the service.`, {});
  throw error;
}

function complainModel(error) {
  const place = find("model-error");
  place.hidden = error === null;
  place.replaceChildren();
  if (error === null) return find("model").removeAttribute("aria-invalid");
  const renew = make("button", { type: "button", class: "link" }, "Read the models anew");
  renew.addEventListener("click", load);
  place.append(`${error.message} `, renew);
  find("model").setAttribute("aria-invalid", "true");
  find("model").focus();
}

find("form").addEventListener("submit", (event) => {
  event.preventDefault();
  predict();
});
find("model").addEventListener("change", choose);
addEventListener("hashchange", () => {
  if (!named() || named() === state.model?.name) return;
  find("model").value = named();
  choose();
});
find("options").addEventListener("input", () => {
  state.changed = true;
  showStale();
});
find("example").addEventListener("click", useExample);
find("cancel").addEventListener("click", cancel);
find("forget").addEventListener("click", () => {
  service.useKey(null);
  location.reload();
});
for (const kind of ["dragover", "drop"]) {
  document.addEventListener(kind, (event) => event.preventDefault()); // a file beside a field must not replace the page
}
load();
