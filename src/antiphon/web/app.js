// Frame: starts everything around the pages (strings, switches, banner, router) and the stream of server events.
import "/web/parts/banner.js";
import { pollHealth } from "/web/net/health.js";
import { translate, word } from "/web/parts/ui.js";
import { startEvents } from "/web/net/live-events.js";
import { route } from "/web/router.js";
import { setLanguage, switches } from "/web/parts/switches.js";

setLanguage();
for (const node of document.querySelectorAll("[data-t]")) word(node, node.dataset.t);
new MutationObserver(() => { translate(document.querySelector("header")); translate(document.getElementById("banner")); })
  .observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
switches();
route((error) => { console.error(error); });
startEvents();
pollHealth();
