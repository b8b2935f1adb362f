// Live events: what happens on the server, by WebSocket, else by server-sent events, else by polling.
import { call, keys, socket } from "/web/net/api.js";

const [FIRST, LONGEST] = [500, 8000];
/** Milliseconds that a connection may take to open: some proxies stall protocols they do not know. */
const PATIENCE = 5000;
/** Milliseconds between two polls when neither connection works. */
const PAUSE = 1500;

/** Follows one event stream until `stop`, starting after the event id `after`, and resumes there after every break.
 * Calls `received(event)` for each event, and `received(null)` when events may be missing, so the state must be fetched. */
export class LiveEvents {
  constructor({ path, stream, received, after = null }) {
    Object.assign(this, { path, stream, received, after, mode: "none", over: new AbortController() });
    this.changed = () => this.cut?.();
    keys.addEventListener("change", this.changed);
    this.#run();
    this.#poll();
  }

  stop() {
    this.over.abort();
    keys.removeEventListener("change", this.changed);
    this.cut?.();
  }

  async #run() {
    for (let pause = FIRST; !this.over.signal.aborted;) {
      const opened = (await this.#socket()) || (await this.#stream());
      this.#setMode("poll");
      pause = opened ? FIRST : Math.min(LONGEST, pause * 2);
      await this.#wait(pause);
    }
  }

  /** Resolves when the socket has closed, to whether it had opened. */
  #socket() {
    return new Promise((done) => {
      let opened = false;
      let line;
      try {
        line = socket(this.after === null ? this.path : `${this.path}${this.path.includes("?") ? "&" : "?"}last_event_id=${this.after}`);
      } catch {
        return done(false); // The key has characters that a protocol name cannot have, or the browser has no WebSocket.
      }
      const late = setTimeout(() => line.close(), PATIENCE);
      this.cut = () => line.close();
      line.addEventListener("open", () => { opened = true; clearTimeout(late); this.#setMode("socket"); this.received(null); });
      line.addEventListener("message", (message) => this.#dispatch(message.data));
      line.addEventListener("close", () => { clearTimeout(late); done(opened); });
    });
  }

  /** The same over server-sent events, read with fetch: an EventSource cannot send a key. */
  async #stream() {
    if (this.over.signal.aborted) return false;
    const stop = new AbortController();
    this.cut = () => stop.abort();
    const late = setTimeout(() => stop.abort(), PATIENCE);
    let opened = false;
    const headers = { Accept: "text/event-stream", ...(this.after === null ? {} : { "Last-Event-ID": String(this.after) }) };
    try {
      const answer = await call(this.stream, { signal: stop.signal, headers });
      let rest = "";
      for (const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
        const { value, done } = await reader.read();
        if (done) return opened;
        if (!opened) {
          opened = true;
          clearTimeout(late);
          this.#setMode("stream");
          this.received(null);
        }
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) {
          const data = block.split("\n").find((line) => line.startsWith("data: "));
          if (data) this.#dispatch(data.slice(6));
        }
      }
    } catch {
      return opened; // Interrupted, refused or unreachable: the next attempt decides.
    } finally {
      clearTimeout(late);
    }
  }

  async #poll() {
    while (!this.over.signal.aborted) {
      await this.#wait(PAUSE);
      if (this.mode !== "socket" && this.mode !== "stream" && !document.hidden && !this.over.signal.aborted) this.received(null);
    }
  }

  #dispatch(text) {
    const event = JSON.parse(text);
    if (this.over.signal.aborted || event.type === "error") return;
    if (Number.isInteger(event.id)) this.after = event.id;
    this.received(event.type === "gap" ? null : event);
  }

  #setMode(mode) {
    this.mode = mode;
    if (this.path === "/ws") document.documentElement.dataset.live = mode;
  }

  #wait(ms) {
    return new Promise((go) => { setTimeout(go, ms); this.over.signal.addEventListener("abort", go, { once: true }); });
  }
}

/** Events of the caller's jobs and of the models: `event` with its detail, null when the state must be fetched again. */
export const events = new EventTarget();
let all = null;
export function startEvents() {
  all ??= new LiveEvents({ path: "/ws", stream: "/v1/events", received: (detail) => events.dispatchEvent(new CustomEvent("event", { detail })) });
}
