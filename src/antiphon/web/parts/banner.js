// Banner: shows models that are downloading or loading, and the remedy for those that cannot load.
import { health } from "/web/net/health.js";
import { button, bytes, h, quote, span, t, word } from "/web/parts/ui.js";
import { copy } from "/web/parts/clipboard.js";

const COMING = new Set(["downloading", "starting", "loading", "warming"]);
const STUCK = new Set(["missing", "unavailable"]);

const node = document.getElementById("banner");
let form = "";

function line(model) {
  const parts = [t(`model_${model.state}`)];
  if (model.bytes_total) parts.push(t("bytesOf", { n: bytes(model.bytes_done ?? 0), all: bytes(model.bytes_total) }));
  if (model.eta) parts.push(t("endsIn", { n: span(model.eta) }));
  return `${model.name}: ${parts.join(" · ")}`;
}

function shown(model) {
  const row = h("div", { class: "model" }, word(h("p"), () => line(model)));
  if (COMING.has(model.state) && model.bytes_total) {
    const bar = h("progress", { max: model.bytes_total, value: model.bytes_done ?? 0 });
    bar.setAttribute("aria-label", model.name);
    row.append(bar);
  }
  if (model.error) row.append(quote(h("p", { class: "hint" }), model.error));
  if (model.hint) row.append(h("div", { class: "remedy" }, h("code", { lang: "en", tabindex: 0 }, model.hint), button("copy", () => copy(model.hint))));
  return row;
}

function draw() {
  const { now, silent } = health;
  const models = now ? now.models.filter((m) => COMING.has(m.state) || (STUCK.has(m.state) && (m.hint || !now.model_loaded))) : [];
  const next = JSON.stringify([silent, now?.model_loaded, now?.network, models]);
  if (next === form) return; // A screen reader would read an unchanged banner aloud again.
  form = next;
  node.hidden = !silent && (!now || (now.model_loaded && !models.length));
  if (node.hidden) return node.replaceChildren();
  if (silent) return node.replaceChildren(h("p", { t: "offline" }), h("div", { class: "remedy" }, h("code", { lang: "en", tabindex: 0 }, "antiphon serve")));
  const offline = now.network === "offline" && models.some((m) => STUCK.has(m.state) || m.state === "downloading");
  node.replaceChildren(...[
    now.model_loaded ? null : h("p", { t: now.models.some((m) => COMING.has(m.state)) ? "loading" : "noModel" }), offline ? h("p", { t: "networkOffline" }) : null, ...models.map(shown),
  ].filter(Boolean));
}

health.addEventListener("change", draw);
