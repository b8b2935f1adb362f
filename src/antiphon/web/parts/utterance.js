// Utterance: one speech job on the page Speak, played while the server makes it, with its transcript and downloads.
import { call, media } from "/web/net/api.js";
import { SegmentCells } from "/web/parts/segment-cells.js";
import { AudioPlayer } from "/web/audio/audio-player.js";
import { downloads } from "/web/parts/downloads.js";
import { ask, button, h, quote, send, span, t, word } from "/web/parts/ui.js";
import { LiveEvents } from "/web/net/live-events.js";
import { WavStream } from "/web/audio/wav-stream.js";
import { Transcript } from "/web/parts/transcript.js";
import { Transport } from "/web/audio/transport.js";

export const FINAL = new Set(["succeeded", "failed", "cancelled"]);
/** Most bytes of a finished sound that are read whole; longer ones go to the browser's own player, which reads ranges. */
const MOST = 160 * 1024 * 1024;

export class Utterance {
  /** `body`: the request, or null if unknown. `fresh`: it was sent just now, so it plays at once. */
  constructor(job, body, fresh) {
    this.body = body;
    this.id = job.id;
    this.status = h("strong", { role: "status" });
    this.place = h("span", { class: "hint place" });
    this.bar = h("progress", { max: 1, value: 0, label: "progress" });
    this.cells = new SegmentCells();
    this.sounds = h("div", { class: "sounds" });
    this.files = h("div");
    this.cancel = button("cancel", () => this.#do("DELETE", `/v1/jobs/${this.id}`));
    this.retry = button("again", () => this.#do("POST", `/v1/jobs/${this.id}/retry`));
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.warnings = h("p", { class: "hint" });
    this.transcript = new Transcript({ go: (seconds) => this.#go(seconds), again: (next) => this.#again(next) });
    this.node = h("section", { class: "card now", label: "nowTitle" },
      h("div", { class: "bar-row" }, h("div", { class: "acts" }, this.status, this.place), h("div", { class: "acts" }, this.cancel, this.retry)),
      this.bar, this.cells.node, this.warnings, this.wrong, this.sounds, this.files, this.transcript.node);
    this.begin(job, fresh);
  }

  close() {
    this.live?.stop();
    this.reading?.abort();
    this.transport?.close();
  }

  /** Reloads the job: another page may have retried it. */
  async renew() {
    if (!FINAL.has(this.job.status)) return;
    const job = await ask(`/v1/jobs/${this.id}`).catch(() => this.job);
    if (job.attempts !== this.job.attempts || job.status !== this.job.status) this.begin(job, false);
  }

  /** Shows a job and follows it from its present state. */
  begin(job, fresh) {
    const after = this.live?.after ?? null;
    this.close();
    this.live = this.transport = this.reading = null;
    this.job = job;
    this.files.replaceChildren();
    this.sounds.replaceChildren();
    this.transcript.clear();
    if (!FINAL.has(job.status)) {
      this.live = new LiveEvents({ path: `/ws?id=${job.id}`, stream: `/v1/jobs/${job.id}/events`, received: (event) => this.#receive(event), after });
      this.#listen(`/v1/jobs/${job.id}/result?wait=true`, fresh);
      this.show(job);
    } else {
      this.show(job);
      this.#ended();
    }
  }

  async #receive(event) {
    const { id } = this;
    try {
      if (event?.object === "job") this.#update(event);
      else if (event) {
        this.cells.receive(event);
        if (event.type === "unit.done") this.transcript.grow(id);
        this.#update(FINAL.has(event.status) ? await ask(`/v1/jobs/${id}`) : event);
      } else {
        const { progress, status, position, eta } = await ask(`/status?id=${id}`);
        this.#update(FINAL.has(status) ? await ask(`/v1/jobs/${id}`) : { progress, status, position, eta });
      }
    } catch (error) {
      if (error.status) quote(this.wrong, error.message); // Without a response the banner reports the problem.
    }
  }

  #update(news) {
    if (FINAL.has(this.job.status)) return;
    const { status, progress, position, eta, units, result, error, attempts } = { ...this.job, ...news };
    this.show({ ...this.job, status, progress, position, eta, units, result, error, attempts });
    if (!FINAL.has(status)) return;
    this.live?.stop();
    this.#ended();
  }

  show(job) {
    this.job = job;
    const over = FINAL.has(job.status);
    this.node.dataset.status = job.status;
    word(this.status, `job_${job.status}`);
    word(this.place, () => (over
      ? job.result ? t("soundLong", { n: span(job.result.duration) }) : ""
      : [job.position ? t("place", { n: job.position }) : "", job.eta ? t("endsIn", { n: span(Math.max(1, job.eta)) }) : ""].filter(Boolean).join(" · ")));
    this.bar.value = job.progress;
    this.bar.hidden = over;
    this.cells.show(job);
    this.cancel.hidden = over;
    this.retry.hidden = !over || job.status === "succeeded";
    if (job.error) quote(this.wrong, job.error.message);
    if (job.warnings?.length) quote(this.warnings, job.warnings.join("; "));
  }

  async #ended() {
    const { job } = this;
    if (job.status !== "succeeded") {
      this.reading?.abort();
      return this.transport?.sound.length ? undefined : this.sounds.replaceChildren();
    }
    this.files.replaceChildren(downloads(job, this.remade ? null : this.body));
    try {
      // The live stream may have broken off; the stored result is complete.
      if (!this.reading || this.broken) await this.#load(job);
      await this.transcript.load(job);
    } catch (error) {
      quote(this.wrong, error.message);
    }
  }

  async #load(job) {
    if (job.result.bytes <= MOST) return this.#listen(`/v1/jobs/${job.id}/result`, false);
    this.transport = null;
    this.sounds.replaceChildren(h("audio", { controls: true, preload: "none", src: await media(`/v1/jobs/${job.id}/result`), label: "player" }));
  }

  /** Reads a sound and shows its player. `play`: starts at once. */
  async #listen(path, play) {
    this.transport?.close();
    const sound = new WavStream();
    const transport = (this.transport = new Transport(sound));
    const reading = (this.reading = new AbortController());
    this.broken = false;
    this.player = new AudioPlayer(transport, (at) => this.transcript.mark(at, transport.playing));
    this.sounds.replaceChildren(this.player.node);
    if (play) transport.play();
    try {
      await sound.read((await call(path, { signal: reading.signal })).body);
      if (sound.tooLong) throw new TypeError("too long to be held");
    } catch (error) {
      if (reading.signal.aborted) return;
      this.broken = true;
      transport.pause();
      if (this.job.status === "succeeded" && this.reading === reading && !path.endsWith("/result")) this.#load(this.job);
      else if (error.status && FINAL.has(this.job.status)) quote(this.wrong, error.message);
    }
  }

  #go(seconds) {
    if (this.transport) this.transport.play(seconds);
  }

  #again(job) {
    this.remade = true; // Repeating the request in another format would use the first take of the sentence.
    this.begin(job, false);
  }

  async #do(method, path) {
    quote(this.wrong, "");
    try {
      const job = await send(path, method);
      if (method === "DELETE") this.#update(job);
      else this.begin(job, true);
    } catch (error) {
      quote(this.wrong, error.message);
    }
  }
}
