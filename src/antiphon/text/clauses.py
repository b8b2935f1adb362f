"""Where a sentence may be cut when it is too long: at a clause, else at a word, else between any two letters."""

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
#: Ends of sentences inside a quotation or a bracket, which are no ends to the splitter. A full stop counts after a
#: whole word and before a capital only, for it may be an abbreviation's.
_STOP = re.compile(
    rf"(?:[。！？!?।॥؟۔…]+{_CLOSERS}(?:\s+|(?<=[^!?])(?=\S)|(?=[{_CJK}]))"
    rf"|(?<=[a-z]{{4}})\.{_CLOSERS}\s+(?=[\"'“‘«(]?[A-Z]))"
)
#: Ends of clauses. Not the colon of 10:30, the commas of 1,000, the dash of 10-20 or what stands inside an address.
_CLAUSE = re.compile(
    rf"(?:[，、；：،؛]+{_CLOSERS}|(?:[,;:]|\.\.+){_CLOSERS}(?=[\s{_CJK}])|—++(?!\d)"
    r"|(?<=\s)[-–](?=\s)(?!\s\d)|--++(?=[\s\w])(?!\d))\s*"
)
#: White space, and the borders of characters of scripts that put none between words. Small kana and the marks of
#: length and repetition cling to what stands before them, and so does the mark after a French space.
_WORD = re.compile(
    rf"\s+(?![!?:;»])|(?<=[{_UNSPACED}])(?=[^\W_])(?![ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮー々ゝゞ])"
    rf"|(?<=[^\W_])(?<![{_UNSPACED}])(?=[{_UNSPACED}])"
)
#: A clause shorter than this part of what is aimed at is not worth a cut.
_LEAST = 3


class Break(IntEnum):
    """What lies after a piece of text, from the slightest to the strongest."""

    WORD = 0
    CLAUSE = 1
    SENTENCE = 2


def spoken(text: str, start: int, end: int) -> bool:
    """Whether there is a letter or a digit in `text[start:end]`."""
    return _SPOKEN.search(text, start, end) is not None


def cut(text: str, start: int, end: int, lengths: LengthIndex, aim: float, most: float) -> Iterator[tuple[int, Break]]:
    """Cuts `text[start:end]` into pieces of at most `most` and about `aim` length units.

    Yields the end of each piece but the last, and what lies there. Each piece has something to say, unless only a
    piece without can keep to `most`.
    """
    last = _last_spoken(text, start, end)
    rest, enough = lengths.measure(start, end), most
    while rest > enough and end - start > 1:
        limit = lengths.reach(start, end - 1, most)
        # Equal pieces are better than one that is full and a crumb.
        middle = lengths.reach(start, end - 1, rest / max(2, round(rest / aim)))
        first = _SPOKEN.search(text, start, limit)
        low = first.end() if first else limit + 1
        high = min(limit, last)
        if low > high:
            # No cut leaves something to say on both sides.
            if rest <= most:
                return
            low = high = limit
        stop, kind = _best(text, start, low, middle, high)
        yield stop, kind
        start, rest = stop, lengths.measure(stop, end)
        enough = min(most, 1.5 * aim)


def head(text: str, start: int, end: int, lengths: LengthIndex, least: float, most: float) -> tuple[int, Break] | None:
    """The first end of a clause or sentence in `text[start:end]` that leaves a head of `least` to `most` length
    units, and as much as `least` after it, both with something to say; None if there is none."""
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


def _best(text: str, start: int, low: int, middle: int, high: int) -> tuple[int, Break]:
    """The cut from `low` to `high` nearest to `middle`, of the strongest kind there is."""
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
    """The position nearest before `middle`, else after it, that parts no letter from its accents."""
    for stop in chain(range(middle, low - 1, -1), range(middle + 1, high + 1)):
        if unicodedata.category(text[stop])[0] != "M":
            return stop
    return high


def _last_spoken(text: str, start: int, end: int) -> int:
    """The position of the last letter or digit in `text[start:end]`; `end` where there is none."""
    while end > start:
        end -= 1
        if text[end].isalnum():
            return end
    return end
