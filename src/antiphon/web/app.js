// Frame: starts everything around the pages (strings, switches, banner, router) and the stream of server events.
import "/web/parts/banner.js";
import { watch } from "/web/net/health.js";
import { retell, word } from "/web/parts/ui.js";
import { listen } from "/web/net/live-events.js";
import { route } from "/web/router.js";
import { speakLanguage, switches } from "/web/parts/switches.js";

speakLanguage();
for (const node of document.querySelectorAll("[data-t]")) word(node, node.dataset.t);
new MutationObserver(() => { retell(document.querySelector("header")); retell(document.getElementById("banner")); })
  .observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
switches();
route((error) => { console.error(error); });
listen();
watch();
