// Transcript: the finished sentences of a job. Marks the one that plays, seeks to one, and requests one again.
import { ask, button, h, quote, send, t, word } from "/web/parts/ui.js";

/** Sentences per step of the list. */
const SHOWN = 100;
const time = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

const segmenter = typeof Intl.Segmenter === "function" ? new Intl.Segmenter(undefined, { granularity: "sentence" }) : null;
const sentences = (text) => (segmenter ? [...segmenter.segment(text)].map((each) => each.segment) : [text]);

export class Transcript {
  /** `go(seconds)` seeks, null without a player; `again(job)` receives the job that makes a sentence again. */
  constructor({ go = null, again = null }) {
    Object.assign(this, { go, again, segments: [], most: SHOWN, marked: -1 });
    this.list = h("ol", { class: "sentences", label: "sentences" });
    this.more = button("more", () => { this.most += SHOWN; this.#draw(); });
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.node = h("div", {}, this.list, this.more, this.wrong);
    this.more.hidden = true;
  }

  async load(job) {
    this.job = job.id;
    this.whole = true;
    this.segments = (await ask(`/v1/jobs/${job.id}/subtitles.json`)).segments;
    this.list.replaceChildren();
    this.marked = -1;
    this.#draw();
  }

  /** Adds the segments that a running job has finished; one request at a time. */
  async grow(id) {
    this.whole = false;
    if (this.growing) return;
    this.growing = true;
    const partial = await ask(`/v1/jobs/${id}/subtitles.json?partial=true`).catch(() => null);
    this.growing = false;
    if (this.whole || !partial) return; // The job ended meanwhile, and `load` has run.
    this.segments = partial.segments;
    this.#draw();
  }

  clear() {
    this.segments = [];
    this.list.replaceChildren();
    this.more.hidden = true;
  }

  #draw() {
    for (let n = this.list.children.length; n < Math.min(this.most, this.segments.length); n++) this.list.append(this.#row(n));
    this.more.hidden = this.segments.length <= this.most;
  }

  #row(n) {
    const { text, start, speaker } = this.segments[n];
    const said = h("span", { class: "said" }, speaker ? `${speaker}: ` : null, ...sentences(text).map((each) => h("span", {}, each)));
    said.lang = ""; // The language of the text is unknown.
    const clock = h("span", { class: "hint", "aria-hidden": "true" }, time(start));
    const line = this.go ? h("button", { type: "button", class: "quiet line", on: { click: () => this.go(start) } }, clock, said) : h("p", { class: "line" }, clock, said);
    const redo = button("makeAgain", () => this.#makeAgain(n, redo));
    word(redo, () => t("makeAgainOf", { n: n + 1 }), undefined, "aria-label");
    return h("li", {}, line, this.again && this.whole ? redo : null);
  }

  async #makeAgain(n, redo) {
    redo.disabled = true;
    quote(this.wrong, "");
    try {
      this.again(await send(`/v1/jobs/${this.job}/units/${n}/retry`, "POST"));
    } catch (error) {
      quote(this.wrong, error.message);
    }
    redo.disabled = false;
  }

  /** Marks the sentence inside a segment. The segment's bounds are exact; sentences inside are estimated by length. */
  #spoken(n, seconds) {
    const { start, end, text } = this.segments[n] ?? {};
    const parts = n < 0 ? [] : [...(this.list.children[n]?.querySelectorAll(".said > span") ?? [])];
    let at = ((seconds - start) / (end - start)) * (text?.length ?? 0);
    const part = parts.length < 2 ? undefined : (parts.find((each) => (at -= each.textContent.length) < 0) ?? parts.at(-1));
    if (part === this.spoken) return;
    this.spoken?.classList.remove("spoken");
    part?.classList.add("spoken");
    this.spoken = part;
  }

  /** Marks the segment at a position; none while paused. */
  mark(seconds, playing) {
    const n = playing ? this.segments.findIndex((s) => s.start <= seconds && seconds < s.end) : -1;
    this.#spoken(n, seconds);
    if (n === this.marked) return;
    this.list.children[this.marked]?.removeAttribute("aria-current");
    this.marked = n;
    const row = this.list.children[n];
    if (!row) return;
    row.setAttribute("aria-current", "true");
    const [box, frame] = [row.getBoundingClientRect(), this.list.getBoundingClientRect()];
    // Scrolls only the list: the page must not move while the user reads.
    if (box.top < frame.top || box.bottom > frame.bottom) this.list.scrollTop += box.top - frame.top;
  }
}
