// Requests to the server, in one place: with the key where one is in use, which is asked for when the server wants one.
const NAME = "antiphon.key";
/** Names the key among a WebSocket's protocols, for a browser can give it no header. */
const PROTOCOL = "antiphon.key.";

let key = sessionStorage.getItem(NAME) ?? localStorage.getItem(NAME);
let asking = null;
let declined = false;

/** Tells `change` whenever there is another key or none, and when the server wanted one and got none. */
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

/** Asks the person for a key, once for all who wait for it; false if none was given. */
export async function signIn() {
  asking ??= import("/web/parts/sign-in.js").then((dialog) => dialog.ask(key !== null)).finally(() => { asking = null; });
  const given = await asking;
  declined = given === null;
  if (given === null) keys.dispatchEvent(new Event("change"));
  else if (given.key !== key) settle(given.key, given.stored);
  return given !== null;
}

/** Whether a request that was refused for its key should be sent again: there is another, or the person gives one. */
async function admitted(used) {
  if (key !== used) return key !== null;
  return !declined && signIn();
}

/** What the server refused: `status`, the field `param` it is about, and the seconds `after` which to ask again. */
export class Refusal extends Error {
  constructor(status, body, after) {
    super(body?.error?.message ?? body?.error ?? `HTTP ${status}`);
    Object.assign(this, { status, param: body?.error?.param ?? null, after: Number(after) || null });
  }
}

const bearer = () => (key === null ? {} : { Authorization: `Bearer ${key}` });

/** The answer to a request; raises `Refusal`, or TypeError where there is none. Every request of the page goes here. */
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

/** Sends a form and tells how much of it is gone, 0 to 1; fetch cannot tell that. Its answer, or raised as `call` does. */
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

/** What an element can play: the path itself, or with a key, which no element can send, the whole as an object's URL. */
export async function media(path) {
  return key === null ? path : URL.createObjectURL(await (await call(path)).blob());
}

/** Gives the person what is at a path as a file; without a key the browser fetches it past this page's memory. */
export async function download(path, name) {
  const href = await media(path);
  Object.assign(document.createElement("a"), { href, download: name }).click();
  if (href !== path) setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
