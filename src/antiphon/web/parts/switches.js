// Switches: the buttons of the frame for language, theme and sign-in.
import { keys, signedIn, signIn, signOut, wanted } from "/web/net/api.js";
import { word } from "/web/parts/ui.js";
import { forget } from "/web/storage/sent-jobs.js";

const THEMES = ["system", "light", "dark"];
const root = document.documentElement;
const $ = (id) => document.getElementById(id);

/** Sets the language: the user's choice, else the browser's. Pages observe the root's `lang` attribute. */
export function setLanguage(name = localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en")) {
  root.lang = name === "zh" ? "zh-CN" : "en";
}

function language() {
  const next = root.lang === "en" ? "zh" : "en";
  localStorage.setItem("language", next);
  setLanguage(next);
}

function theme() {
  const next = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
  localStorage.setItem("theme", next);
  root.dataset.theme = next;
  word($("theme"), `theme_${next}`);
}

/** Signs out and removes what this browser stored under the key. */
function leave() {
  signOut();
  forget();
  sessionStorage.removeItem("antiphon.draft");
  location.reload();
}

function key() {
  $("key").hidden = !signedIn() && !wanted();
  word($("key"), signedIn() ? "signOut" : "signIn");
}

export function switches() {
  $("language").addEventListener("click", language);
  $("theme").addEventListener("click", theme);
  $("key").addEventListener("click", () => (signedIn() ? leave() : signIn()));
  keys.addEventListener("change", key);
  word($("theme"), `theme_${root.dataset.theme}`);
  word($("language"), "other");
  key();
}
