/* The field for the API key, shown when the service asks for one. */

import { find } from "./elements.js";
import { showWaiting } from "./notices.js";
import { hasKey, useKey } from "./service.js";

let next = null;

/** Show the field; `again` is called once there is a key. */
export function askForKey(refusal, again) {
  next = again;
  showWaiting(null);
  const wrong = hasKey();
  const error = find("key-error");
  error.hidden = !wrong;
  error.textContent = wrong ? `This key was not accepted: ${refusal.message}.` : "";
  complain(wrong);
  find("entry").hidden = false;
  find("key").focus();
}

export function hideKey() {
  find("entry").hidden = true;
}

function complain(is) {
  if (is) find("key").setAttribute("aria-invalid", "true");
  else find("key").removeAttribute("aria-invalid");
}

find("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  const typed = find("key").value.trim();
  const usable = /^[\x21-\x7e]+$/.test(typed);
  complain(!usable);
  find("key-error").hidden = usable;
  if (!usable) {
    find("key-error").textContent = typed === "" ? "Type the key first." : "A key has letters, digits and signs of ASCII alone, and no spaces.";
    find("key").focus();
    return;
  }
  useKey(typed);
  find("key").value = "";
  hideKey();
  find("forget").hidden = false;
  find("predict").focus();
  next?.();
});
