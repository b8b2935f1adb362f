// WAV: reads any audio file as one channel, and writes a part of it as 16-bit WAV.

/** Sample rate of uploads, Hz: the highest at which the server stores a voice. */
export const RATE = 48_000;

/** Samples of an audio file as one channel at `RATE`, -1 to 1; null if the browser cannot decode it. */
export async function read(blob) {
  try {
    const decoded = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await blob.arrayBuffer());
    const mono = decoded.getChannelData(0).slice();
    for (let channel = 1; channel < decoded.numberOfChannels; channel++) {
      const other = decoded.getChannelData(channel);
      for (let at = 0; at < mono.length; at++) mono[at] += other[at];
    }
    if (decoded.numberOfChannels > 1) for (let at = 0; at < mono.length; at++) mono[at] /= decoded.numberOfChannels;
    return mono.length ? mono : null;
  } catch {
    return null;
  }
}

/** A WAV file of the samples from `start` to `end` seconds. */
export function write(samples, start, end) {
  const part = samples.subarray(Math.round(start * RATE), Math.round(end * RATE));
  const view = new DataView(new ArrayBuffer(44 + part.length * 2));
  const text = (at, letters) => [...letters].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + part.length * 2, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // one channel
  view.setUint32(24, RATE, true);
  view.setUint32(28, RATE * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, part.length * 2, true);
  part.forEach((x, i) => view.setInt16(44 + i * 2, Math.round(Math.max(-1, Math.min(1, x)) * 32767), true));
  return new Blob([view], { type: "audio/wav" });
}

/** Peak of each of `count` equal parts, 0 to 1. */
export function peaks(samples, count) {
  const step = samples.length / count;
  return Array.from({ length: count }, (_, n) => {
    let peak = 0;
    for (let at = Math.floor(n * step); at < Math.min(samples.length, (n + 1) * step); at++) peak = Math.max(peak, Math.abs(samples[at]));
    return peak;
  });
}
