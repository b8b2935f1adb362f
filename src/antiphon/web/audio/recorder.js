// The microphone: records until it is stopped, or as long as a voice may be.

/** Seconds after which a recording ends by itself: as long as the server reads. */
const LONGEST = 110;

export class Recorder {
  /** `ticked(seconds)` while it records, `done(blob | null)` at its end. */
  constructor(ticked, done) {
    Object.assign(this, { ticked, done });
  }

  /** Browsers give a microphone only to pages from this machine or over https. */
  static get able() {
    return Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);
  }

  get on() {
    return this.recorder?.state === "recording";
  }

  /** Raises NotAllowedError or NotFoundError as the browser does. */
  async start() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false } });
    const parts = [];
    const began = performance.now();
    this.recorder = new MediaRecorder(stream);
    this.recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    this.recorder.addEventListener("stop", () => {
      clearInterval(this.timer);
      for (const track of stream.getTracks()) track.stop();
      this.done(this.dropped ? null : new Blob(parts, { type: this.recorder.mimeType }));
    });
    this.recorder.start();
    this.timer = setInterval(() => {
      const seconds = (performance.now() - began) / 1000;
      this.ticked(seconds);
      if (seconds >= LONGEST) this.stop();
    }, 250);
  }

  stop() {
    if (this.on) this.recorder.stop();
  }

  /** Ends without a recording: the page was left. */
  drop() {
    this.dropped = true;
    this.stop();
  }
}
