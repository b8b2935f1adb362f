// Queue: the jobs of all clients, which the operator can pause, reorder, reprioritise and cancel.
import { arrange, ask, button, confirmed, h, Refusal, send, span, t, word } from "/web/parts/ui.js";

const PATH = "/v1/queue";
const CLASSES = ["vip", "normal", "bulk"];
/** Most rows that are drawn; the count covers the rest. */
const SHOWN = 100;

export class Queue {
  constructor(showError) {
    this.showError = showError;
    this.rows = new Map();
    this.count = h("p", { class: "hint" });
    this.pause = button("pauseAll", () => this.act(send(`${PATH}/${this.paused ? "resume" : "pause"}`, "POST", {})));
    this.report = h("p", { class: "hint", role: "status" });
    this.closed = h("p", { class: "note" });
    this.first = h("p", { class: "first", t: "dropFirst", "aria-hidden": "true" });
    this.list = h("ol", { class: "queue", label: "queue" });
    this.area = h("div", {}, this.first, this.list);
    this.node = h("section", { label: "queue" },
      h("div", { class: "bar-row" }, h("h3", { t: "queue" }), this.pause), this.closed, this.count, this.report, this.area);
    this.#takeDrops();
  }

  async load() {
    if (this.dragged) return; // Rows must not move during a drag.
    try {
      this.show(await ask(PATH));
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 403) throw error;
      word(this.closed, "onlyOperator");
      this.pause.hidden = this.area.hidden = true;
      word(this.count, "");
    }
  }

  show({ paused, data }) {
    this.seen = { paused, data };
    this.paused = paused;
    word(this.closed, "");
    this.pause.hidden = this.area.hidden = false;
    word(this.pause, paused ? "resumeAll" : "pauseAll");
    this.pause.setAttribute("aria-pressed", String(paused));
    word(this.count, data.length ? "jobsInLine" : "nothingWaits", { n: data.length });
    const shown = data.slice(0, SHOWN);
    for (const id of this.rows.keys()) if (!shown.some((job) => job.id === id)) this.rows.delete(id);
    const nodes = shown.map((job, at) => {
      const row = this.rows.get(job.id) ?? new Row(job.id, this);
      this.rows.set(job.id, row);
      row.show(job, at);
      return row.node;
    });
    const held = this.list.contains(document.activeElement);
    arrange(this.list, nodes);
    // The focused job has ended, so the focus needs a new place.
    if (held && document.activeElement === document.body) this.pause.focus();
  }

  translate() {
    if (this.seen) this.show(this.seen);
  }

  /** Waits for a request, reports its outcome and reloads the queue. */
  async act(asked, key, values) {
    try {
      await asked;
      if (key) word(this.report, key, values);
    } catch (error) {
      // The job ended before the request arrived: not the user's error.
      if (error instanceof Refusal && error.status === 404) word(this.report, "alreadyEnded");
      else this.showError(error);
    }
    await this.load().catch(this.showError);
  }

  front(id) {
    return this.act(send(`${PATH}/${id}/front`, "POST"), "wasPutFirst", { id: short(id) });
  }

  #takeDrops() {
    const over = (event) => {
      if (!this.dragged) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "move";
      this.first.classList.add("over");
    };
    this.area.addEventListener("dragover", over);
    this.area.addEventListener("drop", (event) => {
      if (!this.dragged) return;
      event.preventDefault();
      const id = this.dragged;
      this.drag(null);
      this.front(id);
    });
  }

  /** Starts dragging a row; null ends it. */
  drag(id) {
    this.dragged = id;
    this.first.classList.remove("over");
    // Only after the browser has captured the row's image: a layout change before that ends the drag.
    requestAnimationFrame(() => this.area.classList.toggle("dragging", Boolean(this.dragged)));
  }
}

class Row {
  constructor(id, queue) {
    const name = { name: short(id) };
    const named = (node, key) => word(node, key, name, "aria-label");
    const act = (...all) => queue.act(...all);
    this.name = h("span", { class: "name" }, short(id));
    this.about = h("span", { class: "hint" });
    this.bar = named(h("progress", { max: 1 }), "progressOf");
    const change = () => {
      const priority = this.priority.value;
      act(send(`${PATH}/${id}/class`, "POST", { priority }), "classChanged", { id: short(id), name: t(priority) });
    };
    const options = CLASSES.map((each) => h("option", { value: each, t: each }));
    this.priority = named(h("select", { on: { change } }, ...options), "classOf");
    this.front = named(button("toFront", () => queue.front(id)), "toFrontOf");
    this.hold = button("pause", () => {
      const [verb, key] = this.paused ? ["resume", "wasResumed"] : ["pause", "wasPaused"];
      act(send(`${PATH}/${verb}`, "POST", { job: id }), key, { id: short(id) });
    });
    this.cancel = named(button("cancel", async () => {
      if (await confirmed("cancelAsk", { id: short(id) }, "cancelYes")) act(send(`${PATH}/${id}`, "DELETE"), "wasCancelled", { id: short(id) });
    }, { class: "danger quiet" }), "cancelOf");
    this.node = h("li", { "data-id": id, draggable: "true", on: {
      dragstart: (event) => {
        event.dataTransfer.effectAllowed = "move";
        event.dataTransfer.setData("text/plain", id);
        this.node.classList.add("dragged");
        queue.drag(id);
      },
      dragend: () => { this.node.classList.remove("dragged"); queue.drag(null); },
    } },
    h("span", { class: "grip", "aria-hidden": "true" }, "⠿"), h("span", { class: "who" }, this.name, this.about), this.bar,
    h("span", { class: "acts" }, this.priority, this.front, this.hold, this.cancel));
  }

  show(job, at) {
    this.paused = job.paused;
    this.node.dataset.status = job.status;
    word(this.about, () => [
      job.model, job.owner, t(job.paused ? "isPaused" : job.status),
      job.units.total ? t("unitsOf", { n: job.units.done, all: job.units.total }) : "",
      job.eta === null ? "" : t("endsIn", { n: span(Math.max(1, job.eta)) }),
    ].filter(Boolean).join(" · "));
    this.bar.value = job.units.total ? job.units.done / job.units.total : 0;
    // An open select keeps the user's choice.
    if (document.activeElement !== this.priority) this.priority.value = job.priority;
    word(this.hold, job.paused ? "resume" : "pause");
    word(this.hold, job.paused ? "resumeOf" : "pauseOf", { name: short(job.id) }, "aria-label");
    // Disabling a focused button would drop the focus.
    this.front.disabled = at === 0 && document.activeElement !== this.front;
  }
}

/** The end of an id. Its beginning is a time stamp, equal for jobs that arrived together. */
const short = (id) => id.slice(-8);
