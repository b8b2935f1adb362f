// Book: one durable job per chapter, sent as the queue has room and polled until all have ended.
import { ask, button, call, confirmed, h, quote, Refusal, save, send, span, t, word } from "/web/parts/ui.js";
import { digest, dropTexts, fileName, texts } from "/web/storage/book-storage.js";
import { zip } from "/web/lib/zip.js";

const FINAL = new Set(["succeeded", "failed", "cancelled", "refused", "gone"]);
/** Milliseconds between two polls, and the longest pause before a refused chapter is sent again. */
const [PAUSE, LONGEST] = [1000, 60_000];

export class Book {
  /** `stored`: {id, title, options, chapters: [{title, job, status, progress, eta, error}]}; `changed()` stores it,
   * `forgotten(book)` removes it from the list. */
  constructor(stored, changed, forgotten) {
    Object.assign(this, { stored, changed });
    this.stopped = new AbortController();
    this.about = h("p", { class: "hint", role: "status" });
    this.all = h("progress", { max: 1, value: 0 });
    this.zip = button("zip", () => this.#pack());
    this.cancel = button("cancelAll", () => this.#cancelAll(), { class: "danger quiet" });
    this.forget = button("forget", async () => {
      if (this.over || (await confirmed("forgetAsk", { name: stored.title }, "forget"))) forgotten(this);
    }, { class: "quiet" });
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.rows = stored.chapters.map((_, at) => new Row(this, at));
    word(this.all, "progressOf", { name: stored.title }, "aria-label");
    this.node = h("article", { class: "card", "aria-label": stored.title, "data-id": stored.id },
      h("h3", {}, stored.title), this.about, this.all, h("div", { class: "acts" }, this.zip, this.cancel, this.forget), this.wrong,
      h("ol", { class: "book-jobs" }, ...this.rows.map((row) => row.node)));
    this.show();
  }

  get over() { return this.stored.chapters.every((c) => FINAL.has(c.status)); }
  get done() { return this.stored.chapters.filter((c) => c.status === "succeeded"); }

  run() {
    this.#send();
    this.#watch();
  }

  stop() { this.stopped.abort(); }

  show() {
    const { chapters } = this.stored;
    word(this.about, () => t("chaptersDone", { n: this.done.length, all: chapters.length }));
    this.all.value = chapters.reduce((sum, c) => sum + (c.status === "succeeded" ? 1 : c.progress ?? 0), 0) / chapters.length;
    this.zip.disabled = !this.done.length || Boolean(this.packing);
    word(this.zip, this.done.length < chapters.length && this.done.length ? "zipSome" : "zip");
    this.cancel.hidden = this.over;
    for (const row of this.rows) row.show();
  }

  note(chapter, changes) {
    Object.assign(chapter, changes);
    this.changed();
    this.show();
  }

  seen(chapter, job) {
    this.note(chapter, { job: job.id, status: job.status, progress: job.progress, eta: job.eta, error: job.error?.message ?? null });
  }

  async #send() {
    const waiting = this.stored.chapters.filter((c) => !c.job && !FINAL.has(c.status));
    if (!waiting.length) return;
    const list = await texts(this.stored.id);
    for (const chapter of waiting) {
      const text = list?.[this.stored.chapters.indexOf(chapter)] ?? this.stored.texts?.[this.stored.chapters.indexOf(chapter)];
      if (!text) this.note(chapter, { status: "refused", error: null, lost: true });
      else await this.#sendOne(chapter, text);
      if (this.stopped.signal.aborted) return;
    }
    if (this.stored.chapters.every((c) => c.job)) dropTexts(this.stored.id);
  }

  /** Sends a chapter until it is accepted or refused for good. The key makes every repetition the same job, also after a reload. */
  async #sendOne(chapter, text) {
    const body = { type: "speech", input: text, priority: "bulk", ...this.stored.options };
    const key = `book-${await digest(JSON.stringify(body))}`;
    while (!this.stopped.signal.aborted && !FINAL.has(chapter.status)) {
      try {
        this.seen(chapter, await send("/v1/jobs", "POST", body, { "Idempotency-Key": key }));
        return;
      } catch (error) {
        const later = !(error instanceof Refusal) || error.status === 429 || error.status >= 500;
        if (!later) return this.note(chapter, { status: "refused", error: error.message });
        this.note(chapter, { status: "held", error: null });
        await this.#rest(Math.min(LONGEST, (error.after ?? 3) * 1000));
      }
    }
  }

  async #watch() {
    while (!this.stopped.signal.aborted && !this.over) {
      for (const chapter of this.stored.chapters.filter((c) => c.job && !FINAL.has(c.status))) {
        if (document.hidden || this.stopped.signal.aborted) break;
        await this.load(chapter);
      }
      await this.#rest(PAUSE);
    }
  }

  async load(chapter) {
    try {
      this.seen(chapter, await ask(`/v1/jobs/${chapter.job}`));
      word(this.wrong, "");
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) this.note(chapter, { status: "gone" });
      else word(this.wrong, "noAnswer"); // The next poll asks again: an accepted job is not lost.
    }
  }

  async retry(chapter) {
    try {
      this.seen(chapter, await send(`/v1/jobs/${chapter.job}/retry`, "POST"));
      this.#watch();
    } catch (error) {
      this.showError(error);
    }
  }

  async #cancelAll() {
    if (!(await confirmed("cancelBookAsk", { name: this.stored.title }, "cancelBookYes"))) return;
    for (const chapter of this.stored.chapters.filter((c) => !FINAL.has(c.status))) {
      if (!chapter.job) this.note(chapter, { status: "cancelled" });
      else await send(`/v1/jobs/${chapter.job}`, "DELETE").then((job) => this.seen(chapter, job), () => this.load(chapter));
    }
  }

  name(at) {
    const digits = Math.max(2, String(this.stored.chapters.length).length);
    return `${String(at + 1).padStart(digits, "0")} ${fileName(this.stored.chapters[at].title)}.${this.stored.options.response_format}`;
  }

  async #pack() {
    this.packing = true;
    this.show();
    try {
      const files = [];
      const ready = this.stored.chapters.map((c, at) => [c, at]).filter(([c]) => c.status === "succeeded");
      for (const [chapter, at] of ready) {
        word(this.about, "packing", { n: files.length + 1, all: ready.length });
        files.push({ name: this.name(at), blob: await result(chapter) });
      }
      save(await zip(files), `${fileName(this.stored.title)}.zip`);
    } catch (error) {
      this.showError(error);
    }
    this.packing = false;
    this.show();
  }

  showError(error) {
    if (error instanceof RangeError) word(this.wrong, "zipTooLarge");
    else if (error instanceof TypeError) word(this.wrong, "noAnswer");
    else quote(this.wrong, error.message);
  }

  #rest(ms) {
    return new Promise((go) => {
      setTimeout(go, ms);
      this.stopped.signal.addEventListener("abort", go, { once: true });
    });
  }
}

const result = async (chapter) => (await call(`/v1/jobs/${chapter.job}/result`)).blob();

class Row {
  constructor(book, at) {
    Object.assign(this, { book, at, chapter: book.stored.chapters[at] });
    const { title } = this.chapter;
    this.bar = word(h("progress", { max: 1, value: 0 }), "progressOf", { name: title }, "aria-label");
    this.about = h("span", { class: "hint" });
    const link = { t: "download", download: book.name(at), hidden: true, on: { click: (event) => this.#save(event) } };
    this.link = word(h("a", link), "downloadOf", { name: title }, "aria-label");
    this.again = word(button("again", () => book.retry(this.chapter), { hidden: true }), "againOf", { name: title }, "aria-label");
    this.wrong = h("p", { class: "wrong" });
    this.node = h("li", {}, h("span", { class: "name" }, title), this.bar, this.about, this.link, this.again, this.wrong);
  }

  /** The page fetches the file, because a link cannot send the key. */
  async #save(event) {
    event.preventDefault();
    await result(this.chapter).then((blob) => save(blob, this.link.download), (error) => this.book.showError(error));
  }

  show() {
    const { status, progress, eta, error, job, lost } = this.chapter;
    this.node.dataset.status = status ?? "";
    this.bar.value = status === "succeeded" ? 1 : progress ?? 0;
    const left = () => (eta > 0 && !FINAL.has(status) ? ` · ${t("endsIn", { n: span(Math.max(1, eta)) })}` : "");
    word(this.about, () => t(`chapter_${status ?? "unsent"}`) + left());
    this.link.hidden = status !== "succeeded";
    if (job) this.link.href = `/v1/jobs/${job}/result`;
    this.again.hidden = !(job && (status === "failed" || status === "cancelled"));
    if (lost) word(this.wrong, "textLost");
    else quote(this.wrong, error ?? "");
  }
}
