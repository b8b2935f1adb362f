// WAV stream: a WAV file of one channel and 16 bits, read while the server still makes it.

const HEADER = 44;
/** Most bytes that are held in memory. The browser's own player takes longer files. */
const MOST = 160 * 1024 * 1024;
/** Peaks per second. */
const PARTS = 50;

/** Dispatches `grown` for every piece and at the end. `rate` in Hz, `length` in samples, `peaks` 0 to 1. */
export class WavStream extends EventTarget {
  rate = 0;
  length = 0;
  peaks = [];
  ended = false;
  tooLong = false;
  #pieces = [];

  get seconds() { return this.rate ? this.length / this.rate : 0; }

  /** Reads a byte stream to its end. Throws what the stream throws. */
  async read(stream) {
    let rest = new Uint8Array();
    for (const reader = stream.getReader(); ;) {
      const { value, done } = await reader.read();
      if (done) break;
      const bytes = joined(rest, value);
      rest = this.#take(bytes);
      if (this.length * 2 > MOST) {
        this.tooLong = true;
        reader.cancel();
        break;
      }
    }
    this.ended = true;
    this.dispatchEvent(new Event("grown"));
  }

  /** Adds the whole samples in `bytes`; returns the bytes that are left over. */
  #take(bytes) {
    let at = 0;
    if (!this.rate) {
      if (bytes.length < HEADER) return bytes;
      this.rate = new DataView(bytes.buffer, bytes.byteOffset).getUint32(24, true);
      at = HEADER;
    }
    const end = bytes.length - ((bytes.length - at) % 2);
    if (end > at) {
      const samples = new Int16Array(bytes.slice(at, end).buffer);
      this.#pieces.push([this.length, samples]);
      this.#measure(samples);
      this.length += samples.length;
      this.dispatchEvent(new Event("grown"));
    }
    return bytes.slice(end);
  }

  #measure(samples) {
    const part = this.rate / PARTS;
    for (let at = 0; at < samples.length; at++) {
      const n = Math.floor((this.length + at) / part);
      const peak = Math.abs(samples[at]) / 32768;
      if (!(this.peaks[n] >= peak)) this.peaks[n] = peak;
    }
  }

  /** Samples from index `from` to before `to`, -1 to 1; fewer at the end of the sound. */
  samples(from, to) {
    const end = Math.min(to, this.length);
    const found = new Float32Array(Math.max(0, end - from));
    let [low, high] = [0, this.#pieces.length];
    while (low < high) { // Finds the last piece that starts at or before `from`.
      const middle = (low + high) >> 1;
      if (this.#pieces[middle][0] <= from) low = middle + 1;
      else high = middle;
    }
    for (let n = Math.max(0, low - 1); n < this.#pieces.length && this.#pieces[n][0] < end; n++) {
      const [start, piece] = this.#pieces[n];
      const last = Math.min(end, start + piece.length);
      for (let at = Math.max(from, start); at < last; at++) found[at - from] = piece[at - start] / 32768;
    }
    return found;
  }
}

function joined(a, b) {
  if (!a.length) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
