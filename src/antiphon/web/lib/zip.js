// Zip: writes archives with uncompressed entries, because audio does not compress. Format: PKWARE's APPNOTE 6.3.10.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});
const UTF8 = 0x0800;
const STORED = 20; // Version needed to extract a stored entry, times ten.
/** Largest archive without 64-bit fields, bytes. */
export const LIMIT = 2 ** 32 - 1;

export function crc32(data) {
  let sum = 0xffffffff;
  for (let at = 0; at < data.length; at++) sum = TABLE[(sum ^ data[at]) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

/** A zip of [{name, blob}]. Throws RangeError over 4 GB. Holds one file in memory at a time, for its checksum. */
export async function zip(files, at = new Date()) {
  const [parts, directory] = [[], []];
  let offset = 0;
  for (const { name, blob } of files) {
    const title = new TextEncoder().encode(name);
    const entry = { sum: crc32(new Uint8Array(await blob.arrayBuffer())), size: blob.size, title, at: dos(at) };
    parts.push(head(0x04034b50, entry), title, blob);
    directory.push(head(0x02014b50, entry, offset), title);
    offset += 30 + title.length + blob.size;
    if (offset > LIMIT) throw new RangeError("a zip of ours holds at most 4 GB");
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const count = directory.length / 2;
  const end = bytes(22, [[4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, size], [4, offset], [2, 0]]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** A local header; with an offset, the entry in the central directory. */
function head(signature, { sum, size, title, at }, offset) {
  const shared = [[2, STORED], [2, UTF8], [2, 0], [2, at.time], [2, at.date], [4, sum], [4, size], [4, size], [2, title.length], [2, 0]];
  if (offset === undefined) return bytes(30, [[4, signature], ...shared]);
  return bytes(46, [[4, signature], [2, STORED], ...shared, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]);
}

function bytes(length, fields) {
  const view = new DataView(new ArrayBuffer(length));
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return new Uint8Array(view.buffer);
}

const dos = (at) => ({
  time: (at.getHours() << 11) | (at.getMinutes() << 5) | (at.getSeconds() >> 1),
  date: ((at.getFullYear() - 1980) << 9) | ((at.getMonth() + 1) << 5) | at.getDate(),
});
