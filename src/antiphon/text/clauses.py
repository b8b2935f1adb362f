"""Clauses: cuts a sentence that is too long, at clauses if possible, else between words, else between letters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from enum import IntEnum
from itertools import chain

from antiphon.text import language as languages
from antiphon.text.length import LengthIndex

_CJK = languages.CJK
_UNSPACED = languages.UNSPACED
_SPOKEN = re.compile(r"[^\W_]")
_CLOSERS = r"[\"'”’»)\]}」』》】）]*"
#: Ends of sentences inside a quotation or a bracket, which the sentence splitter does not see. A full stop counts only
#: after a whole word and before a capital letter: elsewhere it may belong to an abbreviation.
_STOP = re.compile(
    rf"(?:[。！？!?।॥؟۔…]+{_CLOSERS}(?:\s+|(?<=[^!?])(?=\S)|(?=[{_CJK}]))"
    rf"|(?<=[a-z]{{4}})\.{_CLOSERS}\s+(?=[\"'“‘«(]?[A-Z]))"
)
#: Ends of clauses; not the colon of 10:30, the comma of 1,000, the dash of 10-20 or marks inside an address.
_CLAUSE = re.compile(
    rf"(?:[，、；：،؛]+{_CLOSERS}|(?:[,;:]|\.\.+){_CLOSERS}(?=[\s{_CJK}])|—++(?!\d)"
    r"|(?<=\s)[-–](?=\s)(?!\s\d)|--++(?=[\s\w])(?!\d))\s*"
)
#: White space, and any place in scripts that put none between words. Small kana and the marks of length and repetition
#: stay with the character before them, and so does the mark after a French space.
_WORD = re.compile(
    rf"\s+(?![!?:;»])|(?<=[{_UNSPACED}])(?=[^\W_])(?![ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮー々ゝゞ])"
    rf"|(?<=[^\W_])(?<![{_UNSPACED}])(?=[{_UNSPACED}])"
)
#: Divisor: a cut before a third of the way to the middle is not worth it.
_LEAST = 3


class Break(IntEnum):
    """What ends a piece of text, from the weakest to the strongest break."""

    WORD = 0
    CLAUSE = 1
    SENTENCE = 2


def spoken(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` has a letter or a digit."""
    return _SPOKEN.search(text, start, end) is not None


def cut(text: str, start: int, end: int, lengths: LengthIndex, aim: float, most: float) -> Iterator[tuple[int, Break]]:
    """Cuts `text[start:end]` into pieces of at most `most` and about `aim` length units.

    Yields the end of each piece but the last, and the kind of break there. Each piece has a letter or a digit, unless
    that makes it longer than `most`.
    """
    last = _last_spoken(text, start, end)
    rest, enough = lengths.measure(start, end), most
    while rest > enough and end - start > 1:
        limit = lengths.reach(start, end - 1, most)
        # Pieces of equal length sound better than a full one and a tiny one.
        middle = lengths.reach(start, end - 1, rest / max(2, round(rest / aim)))
        first = _SPOKEN.search(text, start, limit)
        low = first.end() if first else limit + 1
        high = min(limit, last)
        if low > high:
            # No cut leaves a letter or a digit on both sides.
            if rest <= most:
                return
            low = high = limit
        stop, kind = _best(text, start, low, middle, high)
        yield stop, kind
        start, rest = stop, lengths.measure(stop, end)
        enough = min(most, 1.5 * aim)


def head(text: str, start: int, end: int, lengths: LengthIndex, least: float, most: float) -> tuple[int, Break] | None:
    """The first end of a clause or sentence in `text[start:end]` after `least` to `most` length units, with at least
    `least` after it, and a letter or a digit on both sides; None without one."""
    limit = lengths.reach(start, end, most)
    found = [
        (match.end(), kind)
        for pattern, kind in ((_CLAUSE, Break.CLAUSE), (_STOP, Break.SENTENCE))
        for match in pattern.finditer(text, start, min(end, limit + 1))
    ]
    for stop, kind in sorted(found):
        sensible = lengths.measure(start, stop) >= least and lengths.measure(stop, end) >= least
        if stop <= limit and sensible and spoken(text, start, stop) and spoken(text, stop, end):
            return stop, kind
    return None


def head_of_words(
    text: str, start: int, end: int, lengths: LengthIndex, least: float, most: float
) -> tuple[int, Break] | None:
    """As `head`, but at the last end of a word; None without one."""
    limit = min(lengths.reach(start, end, most), end - 1)
    stops = [match.end() for match in _WORD.finditer(text, start, limit + 1) if match.end() <= limit]
    for stop in reversed(stops):
        sensible = lengths.measure(start, stop) >= least and lengths.measure(stop, end) >= least
        if sensible and spoken(text, start, stop) and spoken(text, stop, end):
            return stop, Break.WORD
    return None


def _best(text: str, start: int, low: int, middle: int, high: int) -> tuple[int, Break]:
    """The cut between `low` and `high` that is nearest to `middle`, of the strongest kind of break there."""
    worthy = max(low, start + (middle - start) // _LEAST)
    for pattern, kind, least in (
        (_STOP, Break.SENTENCE, worthy),
        (_CLAUSE, Break.CLAUSE, worthy),
        (_WORD, Break.WORD, low),
    ):
        stops = [m.end() for m in pattern.finditer(text, start, high + 1) if least <= m.end() <= high]
        if stops:
            return min(stops, key=lambda stop: abs(stop - middle)), kind
    return _between_letters(text, low, max(low, min(middle, high)), high), Break.WORD


def _between_letters(text: str, low: int, middle: int, high: int) -> int:
    """The nearest position before `middle`, else after it, that does not separate a letter from its accents."""
    for stop in chain(range(middle, low - 1, -1), range(middle + 1, high + 1)):
        if unicodedata.category(text[stop])[0] != "M":
            return stop
    return high


def _last_spoken(text: str, start: int, end: int) -> int:
    """The position of the last letter or digit in `text[start:end]`; `start` if it has none."""
    while end > start:
        end -= 1
        if text[end].isalnum():
            return end
    return end
