// UI helpers: elements built from text only, strings in the page's language, and the base class of pages.
import { STRINGS as FRAME } from "/web/i18n/frame.js";
import { STRINGS as PAGES } from "/web/i18n/pages.js";

const STYLE = "/web/styles/pages.css";
const STRINGS = { en: { ...FRAME.en, ...PAGES.en }, zh: { ...FRAME.zh, ...PAGES.zh } };
const SVG = "http://www.w3.org/2000/svg";

export { ask, call, Refusal, send } from "/web/net/api.js";

// Words

const locale = () => document.documentElement.lang || "en";
export const chinese = () => locale().startsWith("zh");

export function t(key, values = {}) {
  const text = STRINGS[chinese() ? "zh" : "en"][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? number(value) : value;
  });
}

export const number = (n, digits = 0) => new Intl.NumberFormat(locale(), { maximumFractionDigits: digits }).format(n);
export const percent = (n) => new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: 1 }).format(n);
export const clock = (ms) => new Intl.DateTimeFormat(locale(), { hour: "2-digit", minute: "2-digit" }).format(ms);

export function bytes(n) {
  const step = n >= 1e9 ? 3 : n >= 1e6 ? 2 : n >= 1e3 ? 1 : 0;
  const unit = ["byte", "kilobyte", "megabyte", "gigabyte"][step];
  return new Intl.NumberFormat(locale(), { style: "unit", unit, maximumFractionDigits: n >= 1e6 ? 1 : 0 }).format(n / 1000 ** step);
}

/** Formats seconds: 420 ms, 12 s, 3 min, 2.5 h. */
export function span(seconds) {
  const [n, unit, digits] =
    seconds < 1 ? [seconds * 1000, "millisecond", seconds < 0.01 ? 1 : 0]
      : seconds < 10 ? [seconds, "second", 1]
        : seconds < 90 ? [seconds, "second", 0]
        : seconds < 5400 ? [seconds / 60, "minute", 0] : [seconds / 3600, "hour", 1];
  return new Intl.NumberFormat(locale(), { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: digits }).format(n);
}

export function languageName(tag) {
  try {
    return new Intl.DisplayNames([locale()], { type: "language" }).of(tag) ?? tag;
  } catch {
    return tag; // Engines may name languages that are not BCP-47 tags.
  }
}

const strings = new WeakMap();

/** Sets a node's text or an attribute to a string of the page, and updates it when the language changes. */
export function word(node, key, values, where = "text") {
  const words = strings.get(node) ?? {};
  words[where] = [key, values];
  strings.set(node, words);
  node.toggleAttribute("data-k", true);
  if (where === "text") node.removeAttribute("lang"); // The node may have held a quotation.
  update(node);
  return node;
}

function update(node) {
  for (const [where, [key, values]] of Object.entries(strings.get(node) ?? {})) {
    const text = typeof key === "function" ? key() : key ? t(key, values) : "";
    if (where !== "text") node.setAttribute(where, text);
    else if (node.textContent !== text) node.textContent = text;
  }
}

export function translate(root) {
  update(root);
  for (const node of root.querySelectorAll("[data-k]")) update(node);
}

/** Sets a node's text to words of the server, which are English, so a screen reader pronounces them as English. */
export function quote(node, text) {
  strings.delete(node);
  node.removeAttribute("data-k");
  node.textContent = text;
  node.lang = "en";
  return node;
}

// Elements

/** Creates an element. `t` (text) and `label` (aria-label) are string keys, `on` has listeners, the rest are attributes. */
export function h(tag, { t: key, label, on = {}, ...attributes } = {}, ...children) {
  return dress(document.createElement(tag), key, label, on, attributes, children);
}

export function svg(tag, { t: key, label, on = {}, ...attributes } = {}, ...children) {
  return dress(document.createElementNS(SVG, tag), key, label, on, attributes, children);
}

function dress(node, key, label, on, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true || (value !== false && value !== null && value !== undefined)) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  for (const [type, listener] of Object.entries(on)) node.addEventListener(type, listener);
  if (key) word(node, key);
  if (label) word(node, label, undefined, "aria-label");
  node.append(...children.filter((each) => each !== null && each !== undefined));
  return node;
}

export const button = (key, click, attributes = {}) => h("button", { type: "button", t: key, on: { click }, ...attributes });

/** A label with its control, a hint and an error line; `node.refuse(text)` shows an error. */
export function field(key, control, hint) {
  const id = control.id || (control.id = `f${++fields}`);
  const wrong = h("p", { class: "wrong", id: `${id}-wrong`, role: "alert" });
  const about = hint ? h("p", { class: "hint", id: `${id}-hint`, t: hint }) : null;
  control.setAttribute("aria-describedby", [about?.id, wrong.id].filter(Boolean).join(" "));
  const node = h("div", { class: "field" }, h("label", { for: id, t: key }), control, about, wrong);
  node.control = control;
  node.refuse = (text, own) => {
    control.toggleAttribute("aria-invalid", false);
    if (text) control.setAttribute("aria-invalid", "true");
    if (own) word(wrong, text, own === true ? undefined : own);
    else quote(wrong, text ?? "");
  };
  return node;
}
let fields = 0;

/** Sets the options of a select: [value, text] or [value, null, key]. Keeps the choice if it is still offered. */
export function choices(select, options) {
  const form = JSON.stringify(options);
  if (select.dataset.form === form) return;
  const chosen = select.value;
  select.dataset.form = form;
  select.replaceChildren(...options.map(([value, text, key]) => h("option", { value, t: key }, key ? null : text)));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

/** Asks for confirmation in a dialog; resolves to false when it is closed. */
export function confirmed(key, values, yes) {
  return new Promise((done) => {
    const box = h("dialog", { class: "ask" });
    const question = word(h("p", { id: `f${++fields}` }), key, values);
    box.setAttribute("aria-labelledby", question.id);
    box.append(question, h("div", { class: "acts" },
      button("no", () => box.close("")), button(yes, () => box.close("yes"), { class: "danger" })));
    box.addEventListener("close", () => { box.remove(); done(box.returnValue === "yes"); });
    document.body.append(box);
    box.showModal();
  });
}

/** Calls `take(file)` for a file dropped on a node, which is highlighted meanwhile. */
export function droppable(node, take) {
  const hover = (on) => (event) => {
    event.preventDefault();
    node.classList.toggle("over", on);
  };
  node.addEventListener("dragenter", hover(true));
  node.addEventListener("dragover", hover(true));
  node.addEventListener("dragleave", hover(false));
  node.addEventListener("drop", (event) => {
    hover(false)(event);
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}

/** Downloads a blob as a file. */
export function save(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Orders children without moving those in place: a moved element loses its focus. */
export function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  nodes.forEach((node, at) => { if (parent.children[at] !== node) parent.insertBefore(node, parent.children[at] ?? null); });
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

/** Base of pages: `draw` runs once, `begin` and `end` at each visit, `languageChanged` after a change of language. */
export class Page extends HTMLElement {
  connectedCallback() {
    this.gone = new AbortController();
    const observer = new MutationObserver(() => { translate(this); this.languageChanged?.(); });
    observer.observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
    this.gone.signal.addEventListener("abort", () => observer.disconnect());
    this.classList.add("page");
    if (!this.drawn) this.draw();
    this.drawn = true;
    this.begin?.();
  }

  disconnectedCallback() {
    this.gone.abort();
    this.end?.();
  }

  /** Runs `round` every `ms` while the page is shown; a round starts after the previous one has ended. */
  async every(ms, round) {
    const { signal } = this.gone;
    while (!signal.aborted) {
      if (!document.hidden) await round().catch((error) => console.warn(error));
      await new Promise((go) => { setTimeout(go, ms); signal.addEventListener("abort", go, { once: true }); });
    }
  }
}

if (!document.querySelector(`link[href="${STYLE}"]`)) {
  const sheet = h("link", { rel: "stylesheet", href: STYLE });
  const ready = new Promise((done) => { sheet.onload = sheet.onerror = done; });
  document.head.append(sheet);
  await ready; // Without this the page would flash unstyled.
}
