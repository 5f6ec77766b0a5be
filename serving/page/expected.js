/* What a model was measured to be right in, with some of its inputs or all: the manifest's own figures. */

import { several } from "./words.js";

const whole = (share) => `${Math.round(share * 100)}\u202f%`;

/** The figures of a model with these inputs alone, or null where it states none. */
export function expectation(model, names) {
  const together = model.inputs.map((input) => input.name).filter((name) => names.includes(name)).join("+");
  return model.expectations?.[together] ?? null;
}

/** The figures of a model without one of its inputs. */
export const without = (model, name) =>
  expectation(model, model.inputs.map((input) => input.name).filter((other) => other !== name));

/** `right for 75 % of 100 test samples (70–80 %)`: the share, and its 95 % interval. */
export function inWords(found) {
  const { accuracy, low, high, samples } = found;
  return `right for ${whole(accuracy)} of ${several(samples, "test sample")} (${Math.round(low * 100)}–${whole(high)})`;
}

/** `75 %` alone. */
export const share = (found) => whole(found.accuracy);
