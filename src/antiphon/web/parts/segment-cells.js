// Segment cells: one progress cell per segment of a job, while there are few enough to see.
import { h, t, word } from "/web/parts/ui.js";

const MOST = 200;

export class SegmentCells {
  constructor() {
    this.parts = new Map();
    this.row = h("div", { class: "segment-cells", "aria-hidden": "true" });
    this.summary = h("p", { class: "hint" });
    this.node = h("div", {}, this.row, this.summary);
  }

  /** Applies an event of the job. */
  receive(event) {
    if (event.type === "unit.done") this.#set(event.index, 1, event.cached);
    else if (event.unit) this.#set(event.unit.index, event.unit.progress, false);
    else if (event.type === "job.queued") this.clear();
  }

  clear() {
    this.parts.clear();
    for (const cell of this.row.children) this.#paint(cell, undefined);
  }

  show({ units, status, type }) {
    word(this.summary, units.total ? () => t("unitsOf", { n: units.done, all: units.total }) + (units.cached ? ` · ${t("fromCache", { n: units.cached })}` : "") : "");
    const count = units.total > MOST || type !== "speech" ? 0 : units.total;
    while (this.row.children.length > count) this.row.lastChild.remove();
    while (this.row.children.length < count) this.row.append(h("span"));
    this.row.hidden = count < 2;
    [...this.row.children].forEach((cell, n) => this.#paint(cell, status === "succeeded" ? { part: 1, cached: this.parts.get(n)?.cached } : this.parts.get(n)));
  }

  #set(index, part, cached) {
    this.parts.set(index, { part, cached });
    const cell = this.row.children[index];
    if (cell) this.#paint(cell, this.parts.get(index));
  }

  #paint(cell, { part = 0, cached = false } = {}) {
    cell.style.setProperty("--part", `${Math.round(part * 100)}%`);
    cell.dataset.part = part;
    cell.classList.toggle("cached", Boolean(cached));
  }
}
