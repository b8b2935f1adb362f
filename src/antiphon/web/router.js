// Router: shows the page that the address names. Each page is an element whose module is loaded on its first visit.
const PAGES = ["speak", "jobs", "voices", "dashboard", "books", "transcribe", "images"];
/** Earlier names of pages, which bookmarks may still hold. */
const ALIASES = new Map([["hear", "transcribe"], ["draw", "images"]]);
/** Elements of pages that stay in memory while another page is shown, with what was typed and what plays. */
const CACHED = new Map(["speak", "jobs", "transcribe", "images"].map((name) => [name, null]));

/** The name of the page in the address; Speak for an unknown name. */
export function currentPage() {
  const name = location.hash.replace(/^#\/?/, "");
  return ALIASES.get(name) ?? (PAGES.includes(name) ? name : "speak");
}

/** Shows the page of the address now and after every change of it; calls `failed(error)` when a page cannot be loaded. */
export function route(failed) {
  const place = document.getElementById("page");
  const show = async () => {
    const name = currentPage();
    for (const a of document.querySelectorAll("nav a")) {
      if (a.hash === `#/${name}`) a.setAttribute("aria-current", "page");
      else a.removeAttribute("aria-current");
    }
    place.replaceChildren();
    try {
      await import(`/web/pages/${name}.js`);
      if (currentPage() !== name) return; // The address changed while the module was loading.
      const page = CACHED.get(name) ?? document.createElement(`ap-${name}`);
      if (CACHED.has(name)) CACHED.set(name, page);
      place.replaceChildren(page);
    } catch (error) {
      failed(error);
    }
  };
  addEventListener("hashchange", show);
  show();
}
