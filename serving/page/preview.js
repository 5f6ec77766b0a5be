/* What was chosen, shown: a picture, a player, or the first of many values. */

import { make } from "./elements.js";
import { seconds, several } from "./words.js";

const SHOWN_VALUES = 4;
const READ_AT_MOST = 20e6;
const MISSING = ["", "na", "nan", "null", "none"];

/**
 * A preview of a blob.
 *
 * `facts` is called with words that become known later (a duration, a size). `release` frees what it holds.
 */
export function preview(kind, blob, name, facts) {
  if (kind === "values") return values(blob);
  const making = { audio: player, video: player, picture }[kind];
  if (making === undefined) return { element: null, release() {} };
  const address = URL.createObjectURL(blob);
  const place = make("div", { class: `preview ${kind}` });
  place.append(making(kind, address, name, facts, (words) => place.replaceChildren(make("p", { class: "hint" }, words))));
  return { element: place, release: () => URL.revokeObjectURL(address) };
}

const unplayable = (verb) =>
  `This browser cannot ${verb} this file. It is sent all the same: the service reads formats that browsers do not.`;

function player(kind, address, name, facts, instead) {
  const element = make(kind, { controls: true, preload: "metadata", "aria-label": name, src: address });
  if (kind === "video") element.setAttribute("playsinline", "");
  element.addEventListener("loadedmetadata", () => {
    const long = Number.isFinite(element.duration) ? seconds(element.duration) : null;
    if (kind === "video" && element.videoWidth === 0) {
      instead("This browser finds no picture in this file, only sound. It is sent all the same.");
    } else {
      facts(kind === "video" ? [long, `${element.videoWidth} × ${element.videoHeight} pixels`] : [long]);
    }
  });
  element.addEventListener("error", () => instead(unplayable("play")));
  return element;
}

function picture(kind, address, name, facts, instead) {
  const element = make("img", { alt: `What was chosen: ${name}`, src: address });
  element.addEventListener("load", () => facts([`${element.naturalWidth} × ${element.naturalHeight} pixels`]));
  element.addEventListener("error", () => instead(unplayable("show")));
  return element;
}

function values(blob) {
  const element = make("div", { class: "preview values" });
  if (blob.size > READ_AT_MOST) return { element: null, release() {} };
  blob.text().then((text) => element.replaceChildren(...summary(text)));
  return { element, release() {} };
}

/** The first values as chips, and how many there are. */
export function summary(text) {
  const pairs = pairsOf(text);
  if (pairs === null) return [make("p", { class: "hint" }, "This is neither JSON nor CSV of two lines.")];
  const empty = pairs.filter(([, value]) => value === null || MISSING.includes(String(value).trim().toLowerCase())).length;
  const count = several(pairs.length, "value") + (empty ? `, ${empty.toLocaleString("en")} of them missing` : "");
  const chips = pairs.slice(0, SHOWN_VALUES).map(([name, value]) =>
    make("li", {}, make("span", {}, name), " ", make("b", {}, value === null ? "missing" : String(value).slice(0, 12))),
  );
  if (pairs.length > SHOWN_VALUES) {
    chips.push(make("li", { class: "more" }, `and ${(pairs.length - SHOWN_VALUES).toLocaleString("en")} more`));
  }
  return [make("p", { class: "hint" }, count), make("ul", { class: "chips", role: "list" }, ...chips)];
}

function pairsOf(text) {
  const trimmed = text.replace(/^\ufeff/, "").trim();
  if (/^[[{]/.test(trimmed)) {
    try {
      const found = JSON.parse(trimmed);
      return Array.isArray(found) ? found.map((value, index) => [`no. ${index + 1}`, value]) : Object.entries(found);
    } catch {
      return null;
    }
  }
  const lines = trimmed.split(/\r\n|\r|\n/).filter((line) => line.trim() !== "");
  if (lines.length !== 2) return null;
  const [names, cells] = lines.map((line) => line.split(",").map((cell) => cell.trim().replace(/^"(.*)"$/, "$1")));
  return names.length === cells.length ? names.map((name, index) => [name, cells[index]]) : null;
}

