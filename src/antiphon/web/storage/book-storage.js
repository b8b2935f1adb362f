// Book storage: books with their chapters and jobs in localStorage, texts that are not sent yet in IndexedDB.

const KEY = "antiphon.books";

export function books() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? [];
  } catch {
    return []; // The value is not ours, or the browser forbids storage.
  }
}

export function store(list) {
  try {
    localStorage.setItem(KEY, JSON.stringify(list));
  } catch { /* Full or forbidden: the list of books lasts as long as the page. */ }
}

/** The texts of a book's chapters; null if they are not stored. */
export const texts = (id) => act("readonly", (store) => store.get(id)).catch(() => null);
export const storeTexts = (id, list) => act("readwrite", (store) => store.put(list, id)).catch(() => null);
export const dropTexts = (id) => act("readwrite", (store) => store.delete(id)).catch(() => null);

function act(mode, work) {
  return new Promise((done, fail) => {
    const opening = indexedDB.open("antiphon", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("texts");
    opening.onerror = () => fail(opening.error);
    opening.onsuccess = () => {
      const base = opening.result;
      const change = base.transaction("texts", mode);
      const asked = work(change.objectStore("texts"));
      change.oncomplete = () => { base.close(); done(asked.result ?? null); };
      change.onerror = change.onabort = () => { base.close(); fail(change.error); };
    };
  });
}

/** Hex digest of a text: SHA-256, or outside a secure context, where the browser has none, `sum`. */
export async function digest(text) {
  const data = new TextEncoder().encode(text);
  if (!globalThis.crypto?.subtle) return sum(data);
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", data)));
}

/** A 128-bit checksum: four FNV-1a lanes with different seeds. Distinguishes the user's own texts; not cryptographic. */
export function sum(data) {
  const lanes = [0x811c9dc5, 0x01234567, 0x89abcdef, 0x5bd1e995];
  for (const byte of data) for (let n = 0; n < 4; n++) lanes[n] = Math.imul(lanes[n] ^ byte ^ (lanes[(n + 1) & 3] >>> 24), 0x01000193);
  return lanes.map((lane) => (lane >>> 0).toString(16).padStart(8, "0")).join("");
}

const hex = (data) => [...data].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** A file name that every operating system accepts. */
export function fileName(text) {
  const plain = text.replace(/[\u0000-\u001f\u007f<>:"/\\|?*]/g, "_").trim();
  return [...plain].slice(0, 80).join("").replace(/[. ]+$/, "") || "_";
}
