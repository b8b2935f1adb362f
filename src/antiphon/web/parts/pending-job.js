// Pending job: progress, queue position, cancel button and error of the one job that a page waits for.
import { ask, button, h, number, quote, Refusal, send, span, t, word } from "/web/parts/ui.js";

/** Milliseconds between two polls. */
const LOOK = 700;

export class PendingJob {
  /** Calls `done(job)` when the job has succeeded, and `over()` when it has ended in any way. */
  constructor(done, over = () => {}) {
    Object.assign(this, { done, over, id: null });
    this.bar = h("progress", { max: 1, value: 0, label: "progress" });
    this.report = h("p", { class: "hint", role: "status" });
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.stop = button("stop", () => this.#cancel(), { class: "quiet" });
    this.acts = h("div", { class: "acts", hidden: true }, this.bar, this.stop);
    this.node = h("div", {}, this.acts, this.report, this.wrong);
  }

  refuse(error) {
    if (error instanceof Refusal) quote(this.wrong, error.message);
    else word(this.wrong, "noAnswer");
  }

  clear() {
    quote(this.wrong, "");
    word(this.report, "");
    this.acts.hidden = true;
  }

  /** Polls a job until it ends. */
  async follow(id) {
    this.clear();
    this.id = id;
    this.acts.hidden = false;
    while (this.id === id) {
      let job = null;
      try {
        job = await ask(`/v1/jobs/${id}`);
      } catch (error) {
        if (error instanceof Refusal && error.status === 404) return this.#end(() => this.refuse(error));
        // The server may be restarting; the job is on its disk.
      }
      if (job) this.#show(job);
      if (job?.status === "succeeded") return this.#end(() => this.done(job));
      if (job?.status === "failed") return this.#end(() => quote(this.wrong, job.error?.message ?? ""));
      if (job?.status === "cancelled") return this.#end(() => word(this.report, "job_cancelled"));
      await new Promise((go) => { setTimeout(go, LOOK); });
    }
  }

  #show(job) {
    this.bar.value = job.progress;
    word(this.report, () => [
      t(`job_${job.status}`),
      job.position > 0 ? t("place", { n: number(job.position) }) : "",
      job.eta ? t("about", { n: span(job.eta) }) : "",
    ].filter(Boolean).join(" · "));
  }

  #end(say) {
    this.id = null;
    this.clear();
    say();
    this.over();
  }

  #cancel() {
    if (this.id) send(`/v1/jobs/${this.id}`, "DELETE").catch((error) => this.refuse(error));
  }
}
