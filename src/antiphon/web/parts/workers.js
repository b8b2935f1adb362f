// Workers: memory over the last ten minutes, finished units and restarts of each worker.
import { line, roundUp } from "/web/parts/chart.js";
import { arrange, ask, bytes, h, number, t, word } from "/web/parts/ui.js";

/** Milliseconds that a memory curve covers. */
const WINDOW = 600_000;
/** Samples by worker: [milliseconds since the epoch, bytes]. They last as long as the tab. */
const history = new Map();

export class Workers {
  constructor() {
    this.cards = new Map();
    this.none = h("p", { class: "hint" });
    this.list = h("ul", { class: "workers", label: "workers" });
    this.node = h("section", { label: "workers" }, h("h3", { t: "workers" }), this.none, this.list);
  }

  async load() {
    const { data } = await ask("/v1/workers");
    this.show(data, Date.now());
  }

  show(data, now) {
    this.seen = data;
    word(this.none, data.length ? "" : "noWorkers");
    const keys = data.map((worker) => `${worker.model}/${worker.name}`);
    for (const key of this.cards.keys()) if (!keys.includes(key)) this.cards.delete(key);
    for (const [key, samples] of history) if (samples.at(-1)[0] < now - WINDOW) history.delete(key);
    arrange(this.list, data.map((worker, at) => {
      const card = this.cards.get(keys[at]) ?? new Card();
      this.cards.set(keys[at], card);
      card.show(worker, record(keys[at], worker.rss, now), now);
      return card.node;
    }));
  }

  translate() {
    if (this.seen) this.show(this.seen, Date.now());
  }
}

function record(key, rss, now) {
  const samples = history.get(key) ?? [];
  // Zero: the worker has not reported its memory yet.
  if (rss && now - (samples.at(-1)?.[0] ?? 0) > 500) samples.push([now, rss]);
  while (samples.length && samples[0][0] < now - WINDOW) samples.shift();
  if (samples.length) history.set(key, samples);
  return samples;
}

class Card {
  constructor() {
    this.name = h("span", { class: "name" });
    this.about = h("span", { class: "hint" });
    this.chart = line();
    this.node = h("li", {}, h("div", { class: "head" }, this.name, this.about), this.chart.node);
  }

  show(worker, samples, now) {
    this.node.dataset.points = samples.length;
    this.name.textContent = `${worker.model} · ${worker.name}`;
    word(this.about, () => [
      t(`worker_${worker.state}`), t("unitsDone", { n: worker.units }), t("restarts", { n: worker.restarts }),
      worker.vram ? t("vram", { n: bytes(worker.vram) }) : "", worker.pid ? `PID ${worker.pid}` : "",
      worker.node ? t("onNode", { n: worker.node }) : "",
    ].filter(Boolean).join(" · "));
    const most = roundUp(Math.max(1e6, ...samples.map(([, size]) => size)) * 1.05);
    // The curve fills the width from one minute of samples on.
    const from = Math.min(samples[0]?.[0] ?? now, now - 60_000);
    this.chart.draw(samples, from, now, most);
    this.chart.top.textContent = bytes(most);
    const [left, right] = this.chart.axis.children;
    word(left, () => t("minutesAgo", { n: number((now - from) / 60_000) }));
    word(right, () => t("nowAt", { n: bytes(worker.rss) }));
    this.chart.setLabel(() => t("memoryCurve", { name: worker.name, n: bytes(worker.rss), most: bytes(Math.max(0, ...samples.map(([, s]) => s))) }));
  }
}
