/* Asking the service, and its refusals as values. Paths are relative: a proxy may put the service below a path. */

const NAMESPACE = "urn:infobridge:problem:";
const PATIENCE = 5;

const STORED = "infobridge-key";

let key = stored((storage) => storage.getItem(STORED));

/** The key that every request carries from now on; null for none. It lives as long as the tab, and /v1/docs uses it too. */
export function useKey(value) {
  key = value;
  stored((storage) => (value === null ? storage.removeItem(STORED) : storage.setItem(STORED, value)));
}

/** What `act` finds in the tab's storage; null where the browser forbids to use it. */
function stored(act) {
  try {
    return act(sessionStorage) ?? null;
  } catch {
    return null;
  }
}

export const hasKey = () => key !== null;

/** The service answered, and said no. */
export class Refusal extends Error {
  constructor(problem, response) {
    super(problem.detail);
    this.status = response.status;
    this.kind = (problem.type ?? "").replace(NAMESPACE, "");
    this.title = problem.title ?? response.statusText;
    this.field = problem.field ?? null;
    this.expected = problem.expected ?? null;
    this.received = problem.received ?? null;
    this.wait = waitOf(response);
    this.request = response.headers.get("x-request-id");
  }
}

/** No answer came at all. */
export class Unreachable extends Error {}

/** Seconds that the service asks to wait; null where it asks nothing. */
function waitOf(response) {
  const given = response.headers.get("retry-after");
  if (given === null) return response.status === 503 ? PATIENCE : null;
  const wanted = /^\d+$/.test(given) ? Number(given) : (Date.parse(given) - Date.now()) / 1000;
  return Number.isFinite(wanted) ? Math.max(0, Math.ceil(wanted)) : PATIENCE;
}

async function ask(path, options = {}) {
  const headers = key === null ? {} : { Authorization: `Bearer ${key}` };
  let response;
  try {
    response = await fetch(path, { ...options, headers, credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable("The service cannot be reached. Does it still run, and are you connected?");
  }
  if (response.ok) return response;
  throw new Refusal(await problemOf(response), response);
}

/** The problem details of an answer, or as much as can be said of one that a proxy made. */
async function problemOf(response) {
  const plain = {
    title: "No explanation",
    detail: `The service, or a proxy before it, answered ${response.status} ${response.statusText}`.trim(),
  };
  try {
    const content = await response.json();
    return typeof content.detail === "string" ? content : plain;
  } catch {
    return plain;
  }
}

/** Bodies may break off after the status has come. */
async function read(response, how) {
  try {
    return await response[how]();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable("The answer broke off before its end.");
  }
}

/** `{models, limits}`. */
export async function models() {
  return read(await ask("v1/models"), "json");
}

/** The content of one input of an example, as a blob with its media type. */
export async function example(model, index, input, signal) {
  const path = `v1/models/${encodeURIComponent(model)}/examples/${index}/${encodeURIComponent(input)}`;
  return read(await ask(path, { signal }), "blob");
}

/** The answer to one sample. */
export async function predict(form, signal) {
  return read(await ask("v1/predict", { method: "POST", body: form, signal }), "json");
}
