/* Numbers, sizes and lists as a reader expects them. */

const NARROW = "\u202f";

/** A probability; what is neither 0 nor 1 is never rounded to it. */
export function percent(probability) {
  if (probability > 0 && probability < 0.0005) return `<${NARROW}0.1${NARROW}%`;
  if (probability < 1 && probability >= 0.9995) return `>${NARROW}99.9${NARROW}%`;
  return `${(probability * 100).toFixed(1)}${NARROW}%`;
}

/** A difference of probabilities, with its sign: `+38.9 points`. */
export function points(difference) {
  const size = Math.abs(difference * 100).toFixed(1);
  return `${difference < 0 ? "−" : "+"}${size}${NARROW}points`;
}

export function milliseconds(value) {
  return `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en")}${NARROW}ms`;
}

export function bytes(count) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (count >= size) return `${(count / size).toFixed(count < 10 * size ? 1 : 0)}${NARROW}${unit}`;
  }
  return `${count} ${count === 1 ? "byte" : "bytes"}`;
}

export function seconds(value) {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)}${NARROW}s`;
}

export function several(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

export const quoted = (text) => `“${text}”`;

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** A sentence from what may lack its capital and its full stop. */
export function sentence(text) {
  return /[.!?…]$/.test(text) ? capital(text) : `${capital(text)}.`;
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(words, joint = "and") {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} ${joint} ${words.at(-1)}`;
}
