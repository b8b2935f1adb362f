// Chapters: splits a book at its headings by the rules of `antiphon/text/chapters.py`; a test compares the two.

export const FRONT = "Front matter";
/** From this many headings in a row without text they are a table of contents. */
const CONTENTS = 3;

// Each letter in both cases: one group must match capitals only, so the flag `i` cannot be used.
const loose = (words) => words.replace(/[a-z]/g, (c) => `[${c}${c.toUpperCase()}]`);
const SMALL = loose("one|two|three|four|five|six|seven|eight|nine");
const TEENS = loose("ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen");
const TENS = loose("twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety");
const LAST = `${loose("the")} (?:${loose("first|second|third|fourth|fifth|last")})`;
const NUMBER = `(?:\\p{Nd}{1,4}|[ivxlcdmIVXLCDM]{1,8}|${SMALL}|${TEENS}|(?:${TENS})(?:[\\- ](?:${SMALL}))?|${LAST})`;
const CHINESE = "[0-9０-９一二三四五六七八九十百千零〇两廿卅]{1,9}";
const AFTER = "(?: *[.:\\-–—] *[^\\n]{0,80}";
const POINTED = "(?:[ \\t\\u3000:：、.．·—\\-]+[^\\n]{0,40}";
const HEADING = new RegExp(
  `^[ \\t\\u3000]*(?:${[
    "#{1,3}[ \\t]+\\S[^\\n]{0,99}",
    `(?:${loose("chapter|part|book|volume")}) ${NUMBER}${AFTER}| +[A-Z][^.!?,\\n]{0,60}| *)`,
    `(?:${loose("prologue|epilogue|introduction|preface|foreword|afterword|interlude|appendix")})(?: +[a-zA-Z0-9]{1,3})?${AFTER}| *)`,
    `第 ?${CHINESE} ?[章回节卷部篇集话折]${POINTED}|[^\\n。！？，,.]{0,24})`,
    `(?:楔子|序章|序言|前言|引子|引言|自序|尾声|终章|后记|跋|番外)${POINTED}|[^\\n。！？，,.]{0,12})`,
    `卷${CHINESE}${POINTED}|[ \\t]*)`,
  ].join("|")})$`,
  "u",
);
const WORD = /[\p{L}\p{N}]/u;

/** The chapters of a book: [{title, text}]. Their texts joined equal the input. */
export function split(text) {
  const heads = headings(text);
  if (!heads.length) return text ? [{ title: firstLine(text), text }] : [];
  const chapters = [];
  let [start, title] = [0, FRONT];
  let begun = WORD.test(text.slice(0, heads[0].start));
  heads.forEach((head, number) => {
    if (begun) {
      chapters.push({ title, text: text.slice(start, head.start) });
      start = head.start;
    }
    title = titled(text.slice(head.start, head.end));
    begun = hasBody(text, heads, number);
  });
  chapters.push({ title, text: text.slice(start) });
  return chapters;
}

function headings(text) {
  const found = [];
  let at = 0;
  for (const line of text.split("\n")) {
    // Headings are short; testing long paragraphs would cost time.
    if (line.length <= 400 && HEADING.test(line)) found.push({ start: at, end: at + line.length });
    at += line.length + 1;
  }
  const chapters = [];
  let run = [];
  found.forEach((head, number) => {
    run.push(head);
    if (!hasBody(text, found, number)) return;
    chapters.push(...(run.length > CONTENTS ? run.slice(-1) : run));
    run = [];
  });
  return run.length < CONTENTS ? [...chapters, ...run] : chapters;
}

function hasBody(text, heads, number) {
  return WORD.test(text.slice(heads[number].end, heads[number + 1]?.start ?? text.length));
}

const titled = (line) => line.trim().replace(/^#+/, "").split(/\s+/u).filter(Boolean).join(" ");
const firstLine = (text) => [...titled(text.trim().split("\n", 1)[0])].slice(0, 60).join("");

/** Decodes a file in UTF-8, UTF-16 or GB18030 (common for Chinese books); null for any other content. */
export function decode(buffer) {
  const [a, b] = new Uint8Array(buffer, 0, Math.min(2, buffer.byteLength));
  const wide = a === 0xff && b === 0xfe ? "utf-16le" : a === 0xfe && b === 0xff ? "utf-16be" : null;
  for (const encoding of wide ? [wide] : ["utf-8", "gb18030"]) {
    try {
      const text = new TextDecoder(encoding, { fatal: true }).decode(buffer);
      if (!text.includes("\0")) return text.replace(/\r\n?/g, "\n");
    } catch { /* The next encoding is tried. */ }
  }
  return null;
}
