// Transport: plays a sound through Web Audio while it is still arriving. Audio is scheduled a little ahead of the playhead.

/** Seconds of audio per scheduled piece; seconds scheduled ahead; milliseconds between two checks. */
const [PIECE, AHEAD, LOOK] = [0.5, 2, 200];
/** Seconds from now at which a late piece starts. */
const SOON = 0.05;

/** The transport that plays. Only one plays at a time: starting one pauses the other. */
let active = null;

/** Dispatches `change` when it starts, pauses, seeks or ends. Positions are seconds in the sound. */
export class Transport extends EventTarget {
  playing = false;
  #at = 0;
  #pieces = [];

  constructor(sound) {
    super();
    this.sound = sound;
    sound.addEventListener("grown", () => { if (this.playing) this.#pump(); });
  }

  /** The playhead, seconds. */
  get time() {
    if (!this.playing || !this.context) return this.#at;
    const now = this.context.currentTime;
    let at = this.#at;
    for (const { when, from, seconds } of this.#pieces) if (when <= now) at = from + Math.min(now - when, seconds);
    return at;
  }

  get finished() { return this.sound.ended && this.#at >= this.sound.seconds - 0.01; }

  play(from = this.finished ? 0 : this.#at) {
    this.#silence();
    if (active !== this) active?.pause();
    active = this;
    this.#at = from;
    this.playing = true;
    this.#pump();
    this.timer = setInterval(() => this.#pump(), LOOK);
    this.dispatchEvent(new Event("change"));
  }

  pause() {
    if (!this.playing) return;
    this.#at = this.time;
    this.#silence();
    this.dispatchEvent(new Event("change"));
  }

  seek(seconds) {
    if (this.playing) return this.play(seconds);
    this.#at = seconds;
    this.dispatchEvent(new Event("change"));
  }

  close() {
    this.pause();
    this.context?.close();
    this.context = null;
  }

  #silence() {
    clearInterval(this.timer);
    for (const { node } of this.#pieces) {
      node.stop();
      node.disconnect();
    }
    this.#pieces = [];
    this.playing = false;
  }

  #pump() {
    const { rate, seconds, ended } = this.sound;
    if (!rate) {
      if (ended) this.#end(); // The stream ended before its header.
      return;
    }
    // The context has the sound's own rate: resampling piece by piece would click at every seam.
    this.context ??= new AudioContext({ sampleRate: rate });
    if (this.context.state === "suspended") this.context.resume();
    const now = this.context.currentTime;
    this.#at = this.time;
    this.#pieces = this.#pieces.filter((piece) => piece.when + piece.seconds > now - 1);
    const last = this.#pieces.at(-1);
    let next = last ? last.from + last.seconds : this.#at;
    let due = Math.max(last ? last.when + last.seconds : 0, now + SOON);
    while (next < seconds - 0.001 && due < now + AHEAD) {
      const length = this.#schedule(next, due);
      next += length;
      due += length;
    }
    if (ended && next >= seconds - 0.001 && (!this.#pieces.length || now >= due - SOON)) this.#end();
  }

  #schedule(from, when) {
    const { rate } = this.sound;
    const start = Math.round(from * rate);
    const samples = this.sound.samples(start, start + Math.round(PIECE * rate));
    const buffer = this.context.createBuffer(1, samples.length, rate);
    buffer.copyToChannel(samples, 0);
    const node = this.context.createBufferSource();
    node.buffer = buffer;
    node.connect(this.context.destination);
    node.start(when);
    const seconds = samples.length / rate;
    this.#pieces.push({ node, when, from, seconds });
    return seconds;
  }

  #end() {
    this.#at = this.sound.seconds;
    this.#silence();
    this.dispatchEvent(new Event("change"));
  }
}
