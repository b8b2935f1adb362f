"""Incremental splitter: finds sentences in a text that arrives in parts, as a language model writes it."""

from __future__ import annotations

import re
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

_ENDS = ".!?…。！？।؟"
_COMMAS = "，、；：،؛,;:—"
_CLOSERS = "\"'”’»)]}」』》】）"
_MARKS = re.compile(
    rf"(?P<end>[{_ENDS}]++[{re.escape(_CLOSERS)}]*+\s*+)(?=\S)"
    rf"|(?P<line>\n\s*+)(?=\S)"
    rf"|(?P<comma>[{_COMMAS}]++[{re.escape(_CLOSERS)}]*+\s*+)(?=\S)"
)
#: Characters of a mark that may still go on.
_TRAIL = _ENDS + _COMMAS + _CLOSERS + " \t\n\r\f\v\u00a0\u3000"
_WIDE = frozenset("。！？।؟，、；：،؛—")
_CLOSING = frozenset(_CLOSERS)
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")


class Splitter:
    """Takes text and returns the pieces that can be spoken. Joined, the pieces and the flushed rest are the text.

    A piece is returned as soon as the first character after it has arrived, since only that tells "3." from "3.14". The
    cuts depend on the text alone, not on the parts in which it arrived. Each piece has a letter or a digit; only the
    flushed rest may have none.
    """

    def __init__(self, granularity: Granularity = "sentence", language: str | None = None) -> None:
        self._granularity, self._language = granularity, language
        self._held = ""
        self._scanned = 0
        self._first = True

    @property
    def held(self) -> int:
        """Characters that wait for the end of their sentence."""
        return len(self._held)

    def feed(self, text: str) -> list[str]:
        """Pieces that are complete now. Raises `ValueError`, and takes nothing, above `MAX_HELD` held characters."""
        if len(self._held) + len(text) > MAX_HELD:
            raise ValueError(f"More than {MAX_HELD} characters wait for the end of a sentence")
        self._held += text
        if self._granularity == "none":
            return []
        pieces: list[str] = []
        while (mark := _MARKS.search(self._held, self._scanned)) is not None:
            if self._ends_at(mark):
                pieces.append(self._held[: mark.end()])
                self._held, self._scanned, self._first = self._held[mark.end() :], 0, False
            else:
                self._scanned = mark.end()
        # A mark at the very end is searched again when more text has arrived.
        self._scanned = max(self._scanned, len(self._held.rstrip(_TRAIL)))
        return pieces

    def flush(self) -> str:
        """The rest, at the end of an utterance. The next piece counts as a first one again."""
        rest, self._held, self._scanned, self._first = self._held, "", 0, True
        return rest

    def _ends_at(self, mark: re.Match[str]) -> bool:
        end = mark.end()
        if not clauses.spoken(self._held, 0, end):
            return False
        if mark.lastgroup == "comma":
            return self._clause_ends(mark)
        spaced = self._held[end - 1].isspace()
        if mark.lastgroup == "end" and not spaced and not _WIDE.intersection(mark.group()):
            # 3.14, example.com, and Chinese after a Latin full stop.
            return bool(languages.CJK_RUN.match(self._held, end)) and self._held[end - 2 : end] != "."
        if _BLANK_LINE.search(mark.group()):
            return True
        return self._sentence_ends(end)

    def _sentence_ends(self, end: int) -> bool:
        """Whether `sentences` ends a sentence there, given the text up to the first character after it."""
        start = max(0, end - _REACH)
        head, following = self._held[start:end], self._held[end]
        # Only one character of the next sentence is known. `sentences` needs a word, and a sentence of some length.
        probe = head + following + ("x" if following.isalnum() else "X") * 16
        language = self._language or languages.detect(head)
        return len(head) in sentences.ends(probe, 0, len(probe), language.partition("-")[0])

    def _clause_ends(self, mark: re.Match[str]) -> bool:
        if self._granularity != "clause" and not self._first:
            return False
        end, marks = mark.end(), mark.group().rstrip()
        if self._held[end].isdecimal() and not self._held[end - 1].isspace():
            return False  # 1,000 and 10:30
        if not self._held[end - 1].isspace() and not _WIDE.intersection(marks):
            return False
        least = SLIGHT if self._granularity == "clause" else FIRST
        # The beginning of the clause is enough to see that it is long.
        return length(self._held[: min(end, _REACH)]) >= least
