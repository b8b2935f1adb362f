"""Length of a text in length units: one for each character, and more for a CJK character, which takes longer to say."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from antiphon.text import language as languages


def length(text: str, cjk_weight: float = 2.5) -> float:
    """Length units of a text: about proportional to the time that it takes to say it."""
    return len(text) + (cjk_weight - 1) * cjk_count(text)


def cjk_count(text: str) -> int:
    """Chinese, Japanese and Korean letters of a text, without their punctuation."""
    return 0 if text.isascii() else sum(map(len, languages.CJK_RUN.findall(text)))


class LengthIndex:
    """Measures parts of one text as `length` does, without reading them again."""

    __slots__ = ("_counts", "_starts", "_weight")

    def __init__(self, text: str, cjk_weight: float) -> None:
        self._weight = cjk_weight
        runs = [] if text.isascii() else [match.span() for match in languages.CJK_RUN.finditer(text)]
        #: The start of each run of CJK characters, and how many such characters are before it.
        self._starts = [start for start, _ in runs]
        self._counts = list(accumulate((end - start for start, end in runs), initial=0))

    def measure(self, start: int, end: int) -> float:
        if not self._starts:
            return float(end - start)
        return end - start + (self._weight - 1) * (self._cjk_before(end) - self._cjk_before(start))

    def _cjk_before(self, position: int) -> int:
        run = bisect_right(self._starts, position)
        if not run:
            return 0
        return min(self._counts[run], self._counts[run - 1] + position - self._starts[run - 1])

    def reach(self, start: int, end: int, limit: float) -> int:
        """The last position up to `end` at most `limit` length units after `start`, but at least one character."""
        end = min(end, start + int(limit / min(self._weight, 1.0)))
        if self.measure(start, end) <= limit:
            return max(end, start + 1)
        steps = range(start + 1, end + 1)
        return start + max(1, bisect_right(steps, limit, key=lambda stop: self.measure(start, stop)))
