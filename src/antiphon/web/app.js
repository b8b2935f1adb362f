// The page's frame: its words, switches, banner and pages, and one ear for what happens on the server.
import "/web/banner.js";
import { watch } from "/web/health.js";
import { retell, word } from "/web/kit.js";
import { listen } from "/web/live.js";
import { route } from "/web/router.js";
import { speakLanguage, switches } from "/web/switches.js";

speakLanguage();
for (const node of document.querySelectorAll("[data-t]")) word(node, node.dataset.t);
new MutationObserver(() => { retell(document.querySelector("header")); retell(document.getElementById("banner")); })
  .observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
switches();
route((error) => { console.error(error); });
listen();
watch();
