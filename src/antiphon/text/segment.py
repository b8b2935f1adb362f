"""Segments: cuts a text into what one unit speaks each, with the silence after it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from antiphon.domain.engine import Cut
from antiphon.text import clauses, sentences
from antiphon.text.clauses import Break
from antiphon.text.length import LengthIndex

#: Seconds of silence between two segments, by what lies between them.
PAUSE = {Break.WORD: 0.0, Break.CLAUSE: 0.1, Break.SENTENCE: 0.25}
#: After a sentence that ends its line, and after one that ends its paragraph.
LINE_PAUSE, PARAGRAPH_PAUSE = 0.35, 0.6
#: Length units of the shortest good segment: below, an engine's fixed cost outweighs it, and it plays too short to
#: cover the computing of the next.
SLIGHT = 12.0
#: Times the length of a quick first segment from which one without a clause is cut at a word: the listener would wait
#: longer for it than the cut is worth.
MUCH = 1.6
_PARAGRAPH_END = re.compile(r"\n[^\S\n]*\n\s*")


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a text, with its closing marks and the white space after it."""

    text: str
    #: Seconds of silence after it; 0 for the last.
    pause: float
    #: Position in the whole text: `whole[start:end] == text`.
    start: int
    end: int


def segment(text: str, cut: Cut, language: str, *, quick_first: bool = False) -> list[Segment]:
    """Cuts a clean text into segments; joined, they are the text. Takes time linear in the text.

    Joins sentences up to about `cut.target_chars`, never across a blank line. No segment is longer than
    `cut.max_chars`, except a single character where that is tiny; a longer sentence is cut at clauses, then at words,
    then between letters. If the text has a letter or a digit, then each segment has one, provided that `cut.max_chars`
    has room for one between two of the longest runs without any (`normalise.MAX_RUBBLE`). With `quick_first` the first
    segment ends within `cut.first_chars` if a clause or a sentence ends there. Else a first segment that is much longer
    ends at a word.
    """
    if not text:
        return []
    lengths = LengthIndex(text, cut.cjk_weight)
    most = max(1.0, cut.max_chars)
    target = min(max(1.0, cut.target_chars), most)
    first = min(cut.first_chars, target) if quick_first else target
    ends: list[tuple[int, Break]] = []
    start = 0
    for end in _with_words(text, 0, _paragraphs(text)):
        ends += _Paragraph(text, start, end, lengths, target, most).cut(language, first if not ends else target)
        start = end
    return _segments(text, ends)


class _Paragraph:
    """Cuts one paragraph; lengths are in length units."""

    def __init__(self, text: str, start: int, end: int, lengths: LengthIndex, target: float, most: float) -> None:
        self.text, self.start, self.end = text, start, end
        self.lengths, self.target, self.most = lengths, target, most

    def cut(self, language: str, first: float) -> list[tuple[int, Break]]:
        """End of each segment, and what kind of break is there; the first segment is about `first` long."""
        if self.lengths.measure(self.start, self.end) <= first:
            return [(self.end, Break.SENTENCE)]
        ends = list(self._joined(list(self._pieces(language)), first))
        if first < self.target and self.lengths.measure(self.start, ends[0][0]) > first:
            head = clauses.head(self.text, self.start, ends[0][0], self.lengths, SLIGHT, first)
            if not head and self.lengths.measure(self.start, ends[0][0]) > MUCH * first:
                head = clauses.head_of_words(self.text, self.start, ends[0][0], self.lengths, SLIGHT, first)
            if head:
                ends.insert(0, head)
        return ends

    def _pieces(self, language: str) -> Iterator[tuple[int, Break]]:
        """Ends of sentences, and of the pieces of sentences that are too long."""
        start = self.start
        for end in _with_words(self.text, start, sentences.ends(self.text, start, self.end, language)):
            if self.lengths.measure(start, end) > self.most:
                yield from clauses.cut(self.text, start, end, self.lengths, self.target, self.most)
            yield end, Break.SENTENCE
            start = end

    def _joined(self, pieces: list[tuple[int, Break]], limit: float) -> Iterator[tuple[int, Break]]:
        """Joins pieces up to `limit` for the first segment, and up to the target for the others."""
        start = self.start
        held = pieces[0]
        size = self.lengths.measure(start, held[0])
        for piece in pieces[1:]:
            joined = self.lengths.measure(start, piece[0])
            slight = size < SLIGHT or (piece[0] == self.end and joined - size < SLIGHT)
            if joined > (self.most if slight else limit):
                yield held
                start, limit = held[0], self.target
                joined = self.lengths.measure(start, piece[0])
            held, size = piece, joined
        yield held


def _paragraphs(text: str) -> Iterator[int]:
    """Positions after each paragraph and the blank lines that follow it."""
    for match in _PARAGRAPH_END.finditer(text):
        if match.end() < len(text):
            yield match.end()
    yield len(text)


def _with_words(text: str, start: int, ends: Iterable[int]) -> list[int]:
    """Those of `ends` that leave a letter or a digit in each part: a part without one joins the part before it."""
    kept: list[int] = []
    for end in ends:
        if clauses.spoken(text, start, end):
            kept.append(end)
        elif kept:
            kept[-1] = end
        start = end
    return kept or [start]


def _segments(text: str, ends: list[tuple[int, Break]]) -> list[Segment]:
    segments: list[Segment] = []
    start = 0
    for end, kind in ends:
        pause = _pause(text, end, kind) if end < len(text) else 0.0
        segments.append(Segment(text[start:end], pause, start, end))
        start = end
    return segments


def _pause(text: str, end: int, kind: Break) -> float:
    lines = line_pause(text[end - 4 if end > 4 else 0 : end]) if kind is Break.SENTENCE else 0.0
    return lines or PAUSE[kind]


def line_pause(text: str) -> float:
    """Seconds of silence for the line breaks at the end of a text; 0 without any."""
    lines = text.count("\n", len(text.rstrip()))
    return (0.0, LINE_PAUSE, PARAGRAPH_PAUSE)[min(lines, 2)]
