// Which page is seen: each is an element, fetched when it is first asked for.
const PAGES = ["speak", "jobs", "voices", "dashboard", "books", "transcribe", "images"];
/** Old names of pages, which bookmarks may still have. */
const ALIASES = new Map([["hear", "transcribe"], ["draw", "images"]]);
/** These keep what was typed and what plays while another page is seen. */
const STORED = new Map(["speak", "jobs", "transcribe", "images"].map((name) => [name, null]));

/** The page that the address names; what it does not know is Speak. */
export function here() {
  const name = location.hash.replace(/^#\/?/, "");
  return ALIASES.get(name) ?? (PAGES.includes(name) ? name : "speak");
}

/** Shows the page of the address now and whenever it changes; `failed(error)` if it cannot. */
export function route(failed) {
  const place = document.getElementById("page");
  const show = async () => {
    const name = here();
    for (const a of document.querySelectorAll("nav a")) {
      if (a.hash === `#/${name}`) a.setAttribute("aria-current", "page");
      else a.removeAttribute("aria-current");
    }
    place.replaceChildren();
    try {
      await import(`/web/pages/${name}.js`);
      if (here() !== name) return; // Somebody went on meanwhile.
      const page = STORED.get(name) ?? document.createElement(`ap-${name}`);
      if (STORED.has(name)) STORED.set(name, page);
      place.replaceChildren(page);
    } catch (error) {
      failed(error);
    }
  };
  addEventListener("hashchange", show);
  show();
}
