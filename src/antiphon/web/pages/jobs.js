// Jobs: the caller's jobs, newest first, live. Rows are kept by id, and an event updates only its own row.
import { keys } from "/web/net/api.js";
import { JobRow } from "/web/parts/job-row.js";
import { arrange, ask, button, h, Page, quote, Refusal } from "/web/parts/ui.js";
import { events } from "/web/net/live-events.js";
import { ClipPlayer } from "/web/audio/clip-player.js";

const PAGE = 50;
/** Most jobs that are loaded again after a gap in the events. */
const MOST = 500;
/** Milliseconds between two polls of the newest jobs: positions and times change without an event. */
const PAUSE = 3000;
/** Milliseconds in which a burst of events becomes one request. */
const SOON = 150;

class Jobs extends Page {
  draw() {
    this.rows = new Map();
    this.player = new ClipPlayer((error) => quote(this.wrong, error.message));
    this.wrong = h("p", { class: "wrong", role: "alert" });
    this.empty = h("p", { class: "note", t: "noJobs", hidden: true });
    this.list = h("ul", { class: "jobs", id: "list", label: "jobs" });
    this.more = button("more", () => this.#next());
    this.more.hidden = true;
    keys.addEventListener("change", () => this.#forget());
    this.append(h("h2", { t: "jobs" }), this.wrong, this.empty, this.list, this.more);
  }

  begin() {
    events.addEventListener("event", ({ detail }) => this.#receive(detail), { signal: this.gone.signal });
    this.every(PAUSE, () => this.#load());
  }

  end() { this.player.stop(); }

  #receive(event) {
    if (event === null) return this.#soon(true);
    const row = this.rows.get(event.job);
    if (!row) return event.type.startsWith("job.") ? this.#soon() : undefined;
    const { id, type, at, job, unit, index, cached, ...news } = event;
    row.update(news);
  }

  /** Clears the list after a change of key: the jobs belong to another client. */
  #forget() {
    this.rows.clear();
    this.list.replaceChildren();
    this.player.stop();
    this.#soon(true);
  }

  /** Reloads the newest page soon; with `all` every job that is shown, because events may be missing. */
  #soon(all = false) {
    this.all ||= all;
    this.asked ??= setTimeout(() => { this.asked = undefined; this.#load(); }, SOON);
  }

  /** Loads the newest page; after a gap in the events every page down to the oldest row that is shown. */
  async #load() {
    const { all } = this;
    this.all = false;
    try {
      const oldest = all ? this.list.lastElementChild?.dataset.id : undefined;
      const found = [];
      let after;
      do {
        const page = await ask(`/v1/jobs?limit=${PAGE}${after ? `&after=${encodeURIComponent(after)}` : ""}`);
        found.push(...page.data);
        after = page.next;
      } while (oldest && after && found.length < MOST && !found.some((job) => job.id === oldest));
      if (!this.rows.size || all) this.after = after;
      this.#take(found);
      quote(this.wrong, "");
    } catch (error) {
      this.all ||= all;
      if (error instanceof Refusal) quote(this.wrong, error.message); // Without a response the banner reports it.
    }
  }

  async #next() {
    this.more.disabled = true;
    try {
      const { data, next } = await ask(`/v1/jobs?limit=${PAGE}&after=${encodeURIComponent(this.after)}`);
      this.after = next;
      this.#take(data);
    } catch (error) {
      quote(this.wrong, error.message);
    }
    this.more.disabled = false;
  }

  #take(jobs) {
    let changed = false;
    for (const job of jobs) {
      if (job.result && !job.result.path) continue; // The client of a waiting request got its audio as the response.
      const row = this.rows.get(job.id);
      if (row) row.update(job);
      else {
        this.rows.set(job.id, new JobRow(job, this.player));
        changed = true;
      }
    }
    if (changed) arrange(this.list, [...this.rows.values()].sort((a, b) => b.job.created_at - a.job.created_at || (a.job.id < b.job.id ? 1 : -1)).map((row) => row.node));
    this.empty.hidden = this.rows.size > 0;
    this.more.hidden = !this.after;
  }
}

customElements.define("ap-jobs", Jobs);
