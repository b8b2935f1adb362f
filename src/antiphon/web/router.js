// Which page is seen: #/speak and #/jobs are in the document, the others are elements that are fetched when first asked for.
const LAZY = ["voices", "dashboard", "books"];
const PAGES = ["speak", "jobs", ...LAZY];

/** The page that the address names; what it does not know is Speak. */
export function here() {
  const name = location.hash.replace(/^#\/?/, "");
  return PAGES.includes(name) ? name : "speak";
}

/** Shows the page of the address now and whenever it changes, and tells `turned(name)`; `failed(error)` if it cannot. */
export function route(turned, failed) {
  const show = async () => {
    const name = here();
    for (const id of ["speak", "jobs"]) document.getElementById(`${id}-page`).hidden = id !== name;
    for (const a of document.querySelectorAll("nav a")) {
      if (a.hash === `#/${name}`) a.setAttribute("aria-current", "page");
      else a.removeAttribute("aria-current");
    }
    const place = document.getElementById("page");
    place.replaceChildren();
    turned(name);
    if (!LAZY.includes(name)) return;
    try {
      await import(`/web/${name}.js`);
      if (here() === name) place.replaceChildren(document.createElement(`ap-${name}`)); // Not if somebody went on meanwhile.
    } catch (error) {
      failed(error);
    }
  };
  addEventListener("hashchange", show);
  show();
}
