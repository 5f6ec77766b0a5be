/* What the page says outside of the fields: that it waits for the service, and what went wrong. */

import { find, make } from "./elements.js";
import { sentence } from "./words.js";

let clock = null;
let timer = null;

/** Say that the service cannot be used yet, and try again after so many seconds, or when asked; null ends it. */
export function showWaiting(words, seconds, again) {
  clearTimeout(timer);
  const place = find("waiting");
  place.hidden = words === null;
  if (words === null) return;
  const repeated = seconds === null ? "" : ` The page tries again every ${seconds === 1 ? "second" : `${seconds} seconds`}.`;
  const text = sentence(words.replace(/\.\.$/, ".")) + repeated;
  if (place.dataset.words !== text) {
    place.dataset.words = text;
    place.replaceChildren(make("p", {}, text));
    if (seconds === null) place.append(button("Try again", again));
  }
  if (seconds !== null) timer = setTimeout(again, seconds * 1000);
}

/** Say what went wrong; where it may pass, offer to try again, not before `wait` seconds are over. */
export function showAlert(title, detail, { wait = null, again = null, request = null }) {
  clearAlert();
  const due = performance.now() + (wait ?? 0) * 1000;
  const place = find("alert");
  place.append(make("p", {}, make("b", {}, title), make("br"), sentence(detail)));
  if (wait) place.append(make("p", { class: "hint" }, `The service asks to wait ${wait === 1 ? "one second" : `${wait} seconds`}.`));
  if (again !== null) find("remedy").append(retry(due, again)); // beside the live region, which would read each second
  if (request !== null) place.append(make("p", { class: "hint" }, `Request ${request}, should you ask whoever runs the service.`));
}

export function clearAlert() {
  clearInterval(clock);
  find("alert").replaceChildren();
  find("remedy").replaceChildren();
}

/** A button that counts down until it is due; pressed earlier, it waits that long and then acts. */
function retry(due, again) {
  let asked = false;
  const left = () => Math.ceil((due - performance.now()) / 1000);
  const act = () => {
    clearAlert();
    find("predict").focus();
    again();
  };
  const made = button("Try again", () => {
    if (left() <= 0) return act();
    asked = true;
    count();
  });
  const count = () => {
    if (left() > 0) {
      made.textContent = asked ? `Trying again in ${left()} s` : `Try again in ${left()} s`;
      return;
    }
    made.textContent = "Try again";
    clearInterval(clock);
    if (asked) act();
  };
  count();
  if (left() > 0) clock = setInterval(count, 200);
  return made;
}

function button(words, action) {
  const made = make("button", { type: "button" }, words);
  made.addEventListener("click", action);
  return made;
}
