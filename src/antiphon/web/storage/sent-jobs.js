// What this browser has sent: the first words of jobs, by which they are recognised in the list, and the last job whole.
const [LIST, LAST] = ["antiphon.sent", "antiphon.last"];
const [WORDS, MOST] = [100, 300];

function listed() {
  try {
    return new Map(JSON.parse(localStorage.getItem(LIST) ?? "[]"));
  } catch {
    return new Map();
  }
}

let known = null;
/** The first words of a job, or undefined where another browser sent it. */
export const wordsOf = (id) => (known ??= listed()).get(id);

export function remember(id, body) {
  known = listed(); // Another tab may have added some.
  const text = body.input.trim();
  known.set(id, text.length > WORDS ? `${text.slice(0, WORDS).trimEnd()}…` : text);
  tryToStore(localStorage, LIST, [...known].slice(-MOST));
  // A whole book may not fit; without what was asked the job is still found again.
  if (!tryToStore(sessionStorage, LAST, { id, body })) tryToStore(sessionStorage, LAST, { id, body: null });
}

/** `{id, body}` of the last job that this tab sent; null if there is none, or none any more. */
export function last() {
  try {
    return JSON.parse(sessionStorage.getItem(LAST));
  } catch {
    return null;
  }
}

/** Nothing of it is left for whoever signs in next. */
export function forget() {
  known = null;
  localStorage.removeItem(LIST);
  sessionStorage.removeItem(LAST);
}

/** Full storage must not keep anybody from speaking. */
function tryToStore(store, name, value) {
  try {
    store.setItem(name, JSON.stringify(value));
    return true;
  } catch {
    store.removeItem(name);
    return false;
  }
}
