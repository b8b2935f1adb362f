// Which page is seen: each is an element, fetched when it is first asked for.
const PAGES = ["speak", "jobs", "voices", "dashboard", "books", "hear", "draw"];
/** These keep what was typed and what plays while another page is seen. */
const KEPT = new Map(["speak", "jobs", "hear", "draw"].map((name) => [name, null]));

/** The page that the address names; what it does not know is Speak. */
export function here() {
  const name = location.hash.replace(/^#\/?/, "");
  return PAGES.includes(name) ? name : "speak";
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
      const page = KEPT.get(name) ?? document.createElement(`ap-${name}`);
      if (KEPT.has(name)) KEPT.set(name, page);
      place.replaceChildren(page);
    } catch (error) {
      failed(error);
    }
  };
  addEventListener("hashchange", show);
  show();
}
