// What happens on the server, as it happens: by WebSocket, else by server-sent events, else by asking again and again.
import { call, keys, socket } from "/web/net/api.js";

const [FIRST, LONGEST] = [500, 8000];
/** Milliseconds that a connection may take to open: some proxies hold back what they do not understand. */
const PATIENCE = 5000;
/** Milliseconds between two questions where nothing can be listened to. */
const PAUSE = 1500;

/** Follows one story until `stop`, from behind the event `after` if one is given, and after every break from where it was.
 * `received(event)` is called for each event, and with null when something may have been missed: what is true must then be asked for. */
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
      this.#turn("poll");
      pause = opened ? FIRST : Math.min(LONGEST, pause * 2);
      await this.#wait(pause);
    }
  }

  /** Resolves when it has closed, to whether it had been open. */
  #socket() {
    return new Promise((done) => {
      let opened = false;
      let line;
      try {
        line = socket(this.after === null ? this.path : `${this.path}${this.path.includes("?") ? "&" : "?"}last_event_id=${this.after}`);
      } catch {
        return done(false); // No key can be said in this way, or there are no sockets here.
      }
      const late = setTimeout(() => line.close(), PATIENCE);
      this.cut = () => line.close();
      line.addEventListener("open", () => { opened = true; clearTimeout(late); this.#turn("socket"); this.received(null); });
      line.addEventListener("message", (message) => this.#tell(message.data));
      line.addEventListener("close", () => { clearTimeout(late); done(opened); });
    });
  }

  /** The same over server-sent events, read here: an EventSource cannot send a key. */
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
          this.#turn("stream");
          this.received(null);
        }
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) {
          const data = block.split("\n").find((line) => line.startsWith("data: "));
          if (data) this.#tell(data.slice(6));
        }
      }
    } catch {
      return opened; // Cut off, refused or never there: the next round finds out.
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

  #tell(text) {
    const event = JSON.parse(text);
    if (this.over.signal.aborted || event.type === "error") return;
    if (Number.isInteger(event.id)) this.after = event.id;
    this.received(event.type === "gap" ? null : event);
  }

  #turn(mode) {
    this.mode = mode;
    if (this.path === "/ws") document.documentElement.dataset.live = mode;
  }

  #wait(ms) {
    return new Promise((go) => { setTimeout(go, ms); this.over.signal.addEventListener("abort", go, { once: true }); });
  }
}

/** What happens to the caller's jobs and the models: `event` with its detail, or with null to look anew. */
export const events = new EventTarget();
let all = null;
export function listen() {
  all ??= new LiveEvents({ path: "/ws", stream: "/v1/events", received: (detail) => events.dispatchEvent(new CustomEvent("event", { detail })) });
}
