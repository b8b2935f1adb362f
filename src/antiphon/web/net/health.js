// Health: polls the server's state and dispatches it to listeners.
import { ask } from "/web/net/api.js";
import { events } from "/web/net/live-events.js";

/** Milliseconds between two polls: while a model loads, and when every model has settled. */
const [BUSY, CALM] = [1000, 4000];

/** Dispatches `change`. `now`: the last response, or null. `silent`: the last request got no response. */
export const health = Object.assign(new EventTarget(), { now: null, silent: false });

export async function load() {
  try {
    health.now = await ask("/health");
    health.silent = false;
  } catch {
    health.now = null;
    health.silent = true;
  }
  health.dispatchEvent(new Event("change"));
}

export const canSpeak = () => Boolean(health.now?.model_loaded);
const settled = () => canSpeak() && health.now.models.every((m) => ["ready", "unavailable", "missing"].includes(m.state));

export async function pollHealth() {
  events.addEventListener("event", ({ detail }) => { if (detail?.type === "model.state") load(); });
  for (;;) {
    if (!document.hidden) await load();
    await new Promise((go) => { setTimeout(go, settled() ? CALM : BUSY); });
  }
}
