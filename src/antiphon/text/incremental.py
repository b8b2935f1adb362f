"""Incremental splitter: finds sentences in a text that arrives in parts, as a language model writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from antiphon.text import clauses, sentences
from antiphon.text import language as languages
from antiphon.text.length import length

Granularity = Literal["none", "sentence", "clause"]

#: Most characters to hold while no sentence ends.
MAX_HELD = 128 * 1024
#: Length units (`length.length`) after which the first sentence is cut at a clause, for an early first sound.
FIRST = 45.0
#: Length units of the shortest clause that is spoken by itself.
SLIGHT = 12.0
#: Characters to read before a possible end; what decides is near it.
_REACH = 400
#: Fewer characters, by how many ends were refused in a sentence: real ones have some initials and abbreviations, and a
#: text of nothing else must not cost its whole reach again and again.
_REACHES = ((8, _REACH), (64, 80))
_SHORTEST_REACH = 40

_ENDS = ".!?…。！？।؟"
_COMMAS = "，、；：،؛,;:—"
_CLOSERS = "\"'”’»)]}」』》】）"
_START = re.compile(rf"(?P<end>[{_ENDS}])|(?P<line>\n)|(?P<comma>[{_COMMAS}])")
_AFTER_CLOSER = re.compile(rf"[{re.escape(_CLOSERS)}]*+\s*+")
_SPACE = re.compile(r"\s*+")
#: How a mark goes on, by its kind.
_REST = {
    "end": re.compile(rf"[{_ENDS}]*+[{re.escape(_CLOSERS)}]*+\s*+"),
    "line": _SPACE,
    "comma": re.compile(rf"[{_COMMAS}]*+[{re.escape(_CLOSERS)}]*+\s*+"),
}
_WIDE = frozenset("。！？।؟，、；：،؛—")


@dataclass(slots=True)
class _Mark:
    """Marks, the closing ones after them and white space: a place where a piece may end."""

    kind: str
    #: Whether one of its marks needs no space after it, and how many line breaks it has.
    wide: bool = False
    lines: int = 0


class Splitter:
    """Takes text and returns the pieces that can be spoken. Joined, the pieces and the flushed rest are the text.

    A piece is returned as soon as the first character after it has arrived, since only that tells "3." from "3.14". The
    cuts depend on the text alone, not on the parts in which it arrived. Each piece has a letter or a digit; only the
    flushed rest may have none. Each character is looked at once, and each possible end with a bounded number of
    characters before it, in however small or large parts the text comes.
    """

    def __init__(self, granularity: Granularity = "sentence", language: str | None = None) -> None:
        self._granularity, self._language = granularity, language
        self._first = True
        self._clear()

    def _clear(self) -> None:
        #: The beginning of the piece, which nothing looks at any more, and its length.
        self._before: list[str] = []
        self._size = 0
        #: The rest of what is held. The piece goes on at `_start`, and marks are looked for from `_at` on.
        self._text = ""
        self._start = self._at = 0
        #: The mark that reaches up to `_at`, and may go on.
        self._mark: _Mark | None = None
        #: Whether the piece has a letter or a digit before `_unread`; ends that were refused in it.
        self._spoken = False
        self._unread = self._refused = 0

    @property
    def held(self) -> int:
        """Characters that wait for the end of their sentence."""
        return self._size + len(self._text) - self._start

    def feed(self, text: str) -> list[str]:
        """Pieces that are complete now. Raises `ValueError`, and takes nothing, above `MAX_HELD` held characters."""
        if self.held + len(text) > MAX_HELD:
            raise ValueError(f"More than {MAX_HELD} characters wait for the end of a sentence")
        if self._granularity == "none":
            self._before.append(text)
            self._size += len(text)
            return []
        self._text += text
        pieces: list[str] = []
        while (mark := self._next_mark()) is not None:
            if self._ends_at(self._at, mark):
                pieces.append(self._take())
        self._put_away()
        return pieces

    def flush(self) -> str:
        """The rest, at the end of an utterance. The next piece counts as a first one again."""
        rest = "".join((*self._before, self._text[self._start :]))
        self._clear()
        self._first = True
        return rest

    def _next_mark(self) -> _Mark | None:
        """The next mark that is followed by a character, which is at `_at` then; None after the last."""
        mark, text, end = self._mark, self._text, self._at
        if mark is None:
            if (found := _START.search(text, end)) is None:
                self._at = len(text)
                return None
            assert found.lastgroup is not None
            mark, end = _Mark(found.lastgroup), found.end()
            self._look_at(mark, found[0])
        last = text[end - 1] if end else ""
        rest = _SPACE if last.isspace() else _AFTER_CLOSER if last in _CLOSERS else _REST[mark.kind]
        if (more := rest.match(text, end)) is not None and more[0]:
            self._look_at(mark, more[0])
            end = more.end()
        self._at, self._mark = end, mark if end == len(text) else None
        return None if end == len(text) else mark

    @staticmethod
    def _look_at(mark: _Mark, marks: str) -> None:
        mark.wide = mark.wide or not _WIDE.isdisjoint(marks)
        mark.lines += marks.count("\n")

    def _take(self) -> str:
        """The piece that ends at `_at`."""
        piece = "".join((*self._before, self._text[self._start : self._at]))
        self._before.clear()
        self._size, self._start, self._unread = 0, self._at, self._at
        self._first = self._spoken = False
        self._refused = 0
        return piece

    def _put_away(self) -> None:
        """Keeps only as much at hand as the next ends need, so that many small parts cost no more than a large one."""
        self._has_words(len(self._text))
        start, end = self._start, len(self._text)
        if end - start > 2 * _REACH:
            self._before.append(self._text[start : end - _REACH])
            self._size += end - _REACH - start
            start = end - _REACH
        self._text = self._text[start:]
        self._start, self._at, self._unread = 0, self._at - start, len(self._text)

    def _has_words(self, end: int) -> bool:
        """Whether the piece has a letter or a digit before `end`."""
        self._spoken = self._spoken or clauses.spoken(self._text, self._unread, end)
        self._unread = end
        return self._spoken

    def _ends_at(self, end: int, mark: _Mark) -> bool:
        if not self._has_words(end):
            return False
        if mark.kind == "comma":
            return self._clause_ends(end, mark)
        if mark.kind == "end" and not self._text[end - 1].isspace() and not mark.wide:
            # 3.14, example.com, and Chinese after a Latin full stop.
            return languages.CJK_RUN.match(self._text, end) is not None
        if mark.lines > 1:
            return True
        ends = self._sentence_ends(end)
        self._refused += not ends
        return ends

    def _sentence_ends(self, end: int) -> bool:
        """Whether `sentences` ends a sentence there, given the text up to the first character after it."""
        reach = next((reach for most, reach in _REACHES if self._refused < most), _SHORTEST_REACH)
        head, following = self._text[max(self._start, end - reach) : end], self._text[end]
        # Only one character of the next sentence is known. `sentences` needs a word, and a sentence of some length.
        probe = head + following + ("x" if following.isalnum() else "X") * 16
        language = self._language or languages.detect(head)
        return len(head) in sentences.ends(probe, 0, len(probe), language.partition("-")[0])

    def _clause_ends(self, end: int, mark: _Mark) -> bool:
        if self._granularity != "clause" and not self._first:
            return False
        before = self._text[end - 1]
        if self._text[end].isdecimal() and not before.isspace():
            return False  # 1,000 and 10:30
        if not before.isspace() and not mark.wide:
            return False
        least = SLIGHT if self._granularity == "clause" else FIRST
        # The beginning of the clause is enough to see that it is long.
        return self._size >= least or length(self._text[self._start : min(end, self._start + _REACH)]) >= least
