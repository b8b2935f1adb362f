// Dashboard: the state of the server, its queue, its workers, and the statistics of the last day.
import { ask, h, Page, quote, Refusal, t, word } from "/web/parts/ui.js";
import { Queue } from "/web/parts/queue.js";
import { Statistics } from "/web/parts/statistics.js";
import { Workers } from "/web/parts/workers.js";

/** Milliseconds between two polls: of state, queue and workers, and of the statistics. */
const [SOON, LATER] = [2000, 10_000];

class Dashboard extends Page {
  draw() {
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.health = h("dl", { class: "figures" });
    this.models = h("ul", { label: "models" });
    this.queue = new Queue((error) => this.showError(error));
    this.workers = new Workers();
    this.statistics = new Statistics();
    this.append(h("h2", { t: "dashboard" }), this.wrong, this.health, this.models, this.queue.node, this.workers.node, this.statistics.node);
  }

  begin() {
    this.every(SOON, () => Promise.all([this.load(), this.queue.load(), this.workers.load()].map((p) => p.catch((e) => this.showError(e)))));
    this.every(LATER, () => this.statistics.load().catch((e) => this.showError(e)));
  }

  languageChanged() {
    if (this.seen) this.show(this.seen);
    this.queue.translate();
    this.workers.translate();
    this.statistics.translate();
  }

  showError(error) {
    this.failed = true;
    if (error instanceof Refusal) quote(this.wrong, error.message);
    else word(this.wrong, "noAnswer");
  }

  async load() {
    this.show(await ask("/health"));
    if (this.failed) word(this.wrong, "");
    this.failed = false;
  }

  show(health) {
    this.seen = health;
    const state = { ok: "stateOk", degraded: "stateDegraded", starting: "stateStarting", draining: "stateDraining" };
    const figures = [
      ["server", t(state[health.status] ?? health.status)], ["runningNow", String(health.concurrent)], ["waitingNow", String(health.queued)],
      ["network", t(`network_${health.network}`)], ["version", health.version],
      // Only with a shared storage: ok, or its error message.
      ...(health.storage ? [["storage", health.storage === "ok" ? t("stateOk") : health.storage]] : []),
    ];
    while (this.health.children.length < figures.length) this.health.append(h("div", {}, h("dt"), h("dd")));
    figures.forEach(([key, text], at) => {
      const [name, value] = this.health.children[at].children;
      word(name, key);
      if (value.textContent !== text) value.textContent = text;
    });
    const form = JSON.stringify([health.models, document.documentElement.lang]);
    if (form === this.form) return;
    this.form = form;
    this.models.replaceChildren(...health.models.map((m) => {
      const row = h("li", {}, h("span", { class: "name" }, m.name), h("span", { class: "hint" }, t(`model_${m.state}`)));
      if (m.bytes_total) row.append(h("progress", { max: m.bytes_total, value: m.bytes_done ?? 0, "aria-label": m.name }));
      if (m.error) row.append(h("span", { class: "wrong", lang: "en" }, m.error));
      if (m.hint) row.append(h("code", { lang: "en" }, m.hint));
      return row;
    }));
  }
}

customElements.define("ap-dashboard", Dashboard);
