// Sent jobs: stores the first words of each job that this browser sent, as its name in the list, and the last request whole.
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
/** The first words of a job; undefined for a job that another browser sent. */
export const wordsOf = (id) => (known ??= listed()).get(id);

export function remember(id, body) {
  known = listed(); // Another tab may have added some.
  const text = body.input.trim();
  known.set(id, text.length > WORDS ? `${text.slice(0, WORDS).trimEnd()}…` : text);
  tryToStore(localStorage, LIST, [...known].slice(-MOST));
  // The text of a book may not fit; the id alone still finds the job.
  if (!tryToStore(sessionStorage, LAST, { id, body })) tryToStore(sessionStorage, LAST, { id, body: null });
}

/** `{id, body}` of the last job that this tab sent, or null. */
export function last() {
  try {
    return JSON.parse(sessionStorage.getItem(LAST));
  } catch {
    return null;
  }
}

/** Removes everything, so the next user of this browser sees none of it. */
export function forget() {
  known = null;
  localStorage.removeItem(LIST);
  sessionStorage.removeItem(LAST);
}

/** Whether the value was stored. Full storage must not block sending. */
function tryToStore(store, name, value) {
  try {
    store.setItem(name, JSON.stringify(value));
    return true;
  } catch {
    store.removeItem(name);
    return false;
  }
}
