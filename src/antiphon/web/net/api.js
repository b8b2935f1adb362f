// API client: every request of the page, with the key if there is one. Opens the sign-in dialog when the server requires a key.
const NAME = "antiphon.key";
/** Prefix of the WebSocket protocol that carries the key: a browser cannot set headers on a WebSocket. */
const PROTOCOL = "antiphon.key.";

let key = sessionStorage.getItem(NAME) ?? localStorage.getItem(NAME);
let asking = null;
let declined = false;

/** Dispatches `change` when the key changes or goes, and when the user declines to give a required one. */
export const keys = new EventTarget();
export const signedIn = () => key !== null;
export const wanted = () => declined;

function settle(next, stored) {
  key = next;
  for (const store of [sessionStorage, localStorage]) store.removeItem(NAME);
  if (next !== null) (stored ? localStorage : sessionStorage).setItem(NAME, next);
  keys.dispatchEvent(new Event("change"));
}

export const signOut = () => settle(null);

/** Asks the user for a key, in one dialog for all requests that need it; false if none was given. */
export async function signIn() {
  asking ??= import("/web/parts/sign-in.js").then((dialog) => dialog.ask(key !== null)).finally(() => { asking = null; });
  const given = await asking;
  declined = given === null;
  if (given === null) keys.dispatchEvent(new Event("change"));
  else if (given.key !== key) settle(given.key, given.stored);
  return given !== null;
}

/** Whether to repeat a request that got 401: the key has changed meanwhile, or the user gives one. */
async function admitted(used) {
  if (key !== used) return key !== null;
  return !declined && signIn();
}

/** An error response: `status`, the request field `param` it names, and the seconds `after` which to try again. */
export class Refusal extends Error {
  constructor(status, body, after) {
    super(body?.error?.message ?? body?.error ?? `HTTP ${status}`);
    Object.assign(this, { status, param: body?.error?.param ?? null, after: Number(after) || null });
  }
}

const bearer = () => (key === null ? {} : { Authorization: `Bearer ${key}` });

/** Sends a request and returns its response. Throws `Refusal` for an error response, TypeError without a response. */
export async function call(path, options = {}) {
  for (;;) {
    const used = key;
    const answer = await fetch(path, { ...options, headers: { ...options.headers, ...bearer() } });
    if (answer.ok) return answer;
    const refusal = new Refusal(answer.status, await answer.json().catch(() => null), answer.headers.get("Retry-After"));
    if (answer.status !== 401 || !(await admitted(used))) throw refusal;
  }
}

export const ask = async (path, options) => (await call(path, options)).json();

export function send(path, method, body, headers = {}) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return ask(path, { method, body: text, headers: text ? { "Content-Type": "application/json", ...headers } : headers });
}

/** Sends a form and calls `progress` with the part that is sent, 0 to 1, which fetch cannot report. Throws as `call` does. */
export async function upload(path, form, progress, headers = {}) {
  for (;;) {
    const used = key;
    const request = await posted(path, form, progress, headers);
    if (request.status < 300) return request.response;
    if (request.status === 401 && (await admitted(used))) continue;
    throw new Refusal(request.status, request.response, request.getResponseHeader("Retry-After"));
  }
}

function posted(path, form, progress, headers) {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    for (const [name, value] of Object.entries({ ...headers, ...bearer() })) request.setRequestHeader(name, value);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => progress(event.loaded / event.total));
    request.addEventListener("error", () => fail(new TypeError("no answer")));
    request.addEventListener("load", () => done(request));
    request.send(form);
  });
}

export function socket(path) {
  const url = `${location.origin.replace(/^http/, "ws")}${path}`;
  return key === null ? new WebSocket(url) : new WebSocket(url, [PROTOCOL + key]);
}

/** A URL that a media element can load: the path, or with a key an object URL, because elements cannot send the key. */
export async function media(path) {
  return key === null ? path : URL.createObjectURL(await (await call(path)).blob());
}

/** Downloads a path as a file. Without a key the browser streams it to disk, not through the page's memory. */
export async function download(path, name) {
  const href = await media(path);
  Object.assign(document.createElement("a"), { href, download: name }).click();
  if (href !== path) setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
