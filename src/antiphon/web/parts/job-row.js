// Job row: one job in the list with its progress and actions. Created once, then updated in place.
import { resultButton, subtitleButtons } from "/web/parts/downloads.js";
import { button, h, quote, send, span, t, word } from "/web/parts/ui.js";
import { media } from "/web/net/api.js";
import { wordsOf } from "/web/storage/sent-jobs.js";
import { Transcript } from "/web/parts/transcript.js";

const FINAL = new Set(["succeeded", "failed", "cancelled"]);
const when = (seconds) => new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" }).format(seconds * 1000);

export class JobRow {
  /** `player` is the page's clip player. */
  constructor(job, player) {
    this.player = player;
    this.status = h("strong", { class: "status" });
    this.name = h("span", { class: "name" });
    this.place = h("span", { class: "hint place" });
    this.bar = h("progress", { max: 1, value: 0 });
    this.wrong = h("p", { class: "wrong" });
    this.acts = h("div", { class: "acts" });
    this.more = h("div", { class: "more" });
    this.node = h("li", {}, h("div", { class: "who" }, this.name, h("div", { class: "acts" }, this.status, this.place), this.bar), this.acts, this.wrong, this.more);
    this.node.dataset.id = job.id;
    const words = wordsOf(job.id);
    if (words) quote(this.name, words).lang = "";
    else word(this.name, `type_${job.type}`);
    this.update(job);
  }

  /** Applies an event or a response of the server. */
  update(news) {
    const job = (this.job = { ...this.job, ...news });
    const over = FINAL.has(job.status);
    word(this.status, `job_${job.status}`);
    word(this.place, () => this.#place());
    this.bar.hidden = over;
    this.bar.value = job.progress;
    word(this.bar, () => t("progressOf", { name: this.name.textContent }), undefined, "aria-label");
    if (job.error && over) quote(this.wrong, job.error.message);
    if (this.node.dataset.status === job.status && this.result === job.result?.path) return;
    this.node.dataset.status = job.status;
    this.result = job.result?.path;
    if (!job.error) quote(this.wrong, "");
    this.#offer();
  }

  #place() {
    const { job } = this;
    const parts = [when(job.created_at)];
    if (!FINAL.has(job.status)) {
      if (job.position) parts.push(t("place", { n: job.position }));
      if (job.units.total) parts.push(t("unitsOf", { n: job.units.done, all: job.units.total }));
      if (job.eta) parts.push(t("endsIn", { n: span(Math.max(1, job.eta)) }));
    } else if (job.result?.duration) parts.push(span(job.result.duration));
    return parts.join(" · ");
  }

  /** Shows the actions of this state. The focus moves to the action that replaces the focused one. */
  #offer() {
    const { job } = this;
    const focused = this.acts.contains(document.activeElement);
    this.more.replaceChildren();
    const acts = [];
    if (!FINAL.has(job.status)) acts.push(this.#named("cancel", button("cancel", () => this.#do("DELETE", ""))));
    else if (job.status !== "succeeded") acts.push(this.#named("again", button("again", () => this.#do("POST", "/retry"))));
    else if (job.result?.path) {
      if (job.result.media_type.startsWith("audio/")) acts.push(this.#play());
      acts.push(this.#named("download", resultButton(job, (error) => quote(this.wrong, error.message))));
      if (job.type === "speech") this.more.append(this.#segments());
    }
    this.acts.replaceChildren(...acts);
    if (focused) acts[0]?.focus();
  }

  /** Adds the job's name to a button's label, so that equal buttons can be told apart. */
  #named(key, each) {
    return word(each, () => `${t(key)}: ${this.name.textContent}`, undefined, "aria-label");
  }

  #play() {
    const play = button("play", () => this.player.toggle(this.job.id, () => media(`/v1/jobs/${this.job.id}/result`), play), { "aria-pressed": "false", "data-key": "play" });
    return play;
  }

  #segments() {
    const transcript = new Transcript({ again: (job) => this.update(job) });
    const { job } = this;
    const box = h("details", {}, h("summary", { t: "sentences" }), transcript.node,
      h("div", { class: "acts" }, h("span", { class: "label", t: "subtitles" }), ...subtitleButtons(job, (error) => quote(this.wrong, error.message))));
    box.addEventListener("toggle", () => { if (box.open) transcript.load(job).catch((error) => quote(this.wrong, error.message)); }, { once: true });
    return box;
  }

  async #do(method, path) {
    quote(this.wrong, "");
    try {
      this.update(await send(`/v1/jobs/${this.job.id}${path}`, method));
    } catch (error) {
      quote(this.wrong, error.message);
    }
  }
}
