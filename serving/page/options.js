/* What may be asked beside the sample: to abstain below a probability, and to refuse a sample that lacks a field. */

import { find } from "./elements.js";

const MOST = 100;

/** Say what the model's own limits are. */
export function showOptions(model) {
  const below = model.abstain_below;
  const own = below === null || below === undefined ? "The model itself has no such limit." : `Empty: the model’s own limit, ${below * MOST}\u202f%.`;
  find("abstain-hint").textContent = `An answer less probable than this is marked: better ask a person. ${own}`;
  const several = model.inputs.length > 1;
  const strict = several && (model.may_be_missing ?? []).length === 0;
  find("require-row").hidden = !several;
  find("require").disabled = strict;
  if (strict) find("require").checked = true;
  find("require-hint").textContent = strict ? "This service asks for every field, always." : "Otherwise the model answers with those that are filled.";
  complainOption(null, null);
}

/** Whether every field must be filled. */
export const requiresAll = () => find("require").checked;

/** Add what was chosen to a form; false where it is no number, which the page then says. */
export function addOptions(form) {
  complainOption(null, null);
  if (requiresAll() && !find("require").disabled) form.append("require_all", "true");
  const field = find("abstain");
  const typed = field.value.trim();
  if (typed === "" && !field.validity.badInput) return true;
  const value = Number(typed);
  if (field.validity.badInput || typed === "" || !(value >= 0 && value <= MOST)) {
    complainOption("abstain_below", "A number from 0 to 100 is expected here.");
    return false;
  }
  form.append("abstain_below", String(value / MOST));
  return true;
}

/** Say what is wrong with an option; null takes it back. False where there is no such option. */
export function complainOption(name, words) {
  const error = find("abstain-error");
  error.hidden = words === null;
  error.textContent = words ?? "";
  if (words === null) {
    find("abstain").removeAttribute("aria-invalid");
    return true;
  }
  if (name !== "abstain_below") return false;
  find("options").open = true;
  find("abstain").setAttribute("aria-invalid", "true");
  find("abstain").focus();
  return true;
}

find("abstain").addEventListener("input", () => complainOption(null, null));
