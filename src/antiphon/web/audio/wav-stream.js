// Sound that arrives piece by piece: a WAV file of one channel and 16 bits, read while it is still being made.

const HEADER = 44;
/** Bytes that are held. What is longer is left to the browser's own player. */
const MOST = 160 * 1024 * 1024;
/** Loudest samples are kept of so many parts of a second. */
const PARTS = 50;

/** Tells `grown` with every piece, and when it has ended. `rate` in Hz, `length` in samples, `peaks` 0 to 1. */
export class WavStream extends EventTarget {
  rate = 0;
  length = 0;
  peaks = [];
  ended = false;
  tooLong = false;
  #pieces = [];

  get seconds() { return this.rate ? this.length / this.rate : 0; }

  /** Reads a stream of bytes to its end. Raises what the stream raises. */
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

  /** Takes whole samples; gives back what is left. */
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

  /** Samples from one position to before another, -1 to 1; fewer where there are no more. */
  samples(from, to) {
    const end = Math.min(to, this.length);
    const found = new Float32Array(Math.max(0, end - from));
    let [low, high] = [0, this.#pieces.length];
    while (low < high) { // The last piece that begins at or before `from`.
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
