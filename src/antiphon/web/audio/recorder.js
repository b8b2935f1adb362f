// Recorder: records the microphone until it is stopped or the limit is reached.

/** Longest recording, seconds: the server reads no more of it. */
const LONGEST = 110;

export class Recorder {
  /** Calls `ticked(seconds)` while recording and `done(blob)` at the end, with null for a dropped recording. */
  constructor(ticked, done) {
    Object.assign(this, { ticked, done });
  }

  /** Browsers allow the microphone only on localhost or over HTTPS. */
  static get able() {
    return Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);
  }

  get on() {
    return this.recorder?.state === "recording";
  }

  /** Throws the browser's NotAllowedError or NotFoundError. */
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

  /** Ends without a result, because the user left the page. */
  drop() {
    this.dropped = true;
    this.stop();
  }
}
