"""Redaction: keeps texts of clients out of the log, which a worker may quote in what it prints.

Engines and their libraries print what they stumble over: a word that is in no dictionary, a sentence that is too long.
Whatever a printed line has in common with a text that the worker was given recently is left out. Text that was changed
on the way, such as phonemes, is not recognised; therefore lines are also cut short.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

#: Letters and digits in common that count as a quotation: a word or two; of scripts that need fewer, a name.
RUN, SHORT_RUN = 8, 3
#: Number of texts that are remembered: a line may arrive after its unit was answered.
TEXTS = 16
#: Characters of a line.
LINE_CHARS = 300
LEFT_OUT = "[…]"


class LogRedactor:
    """Remembers what one worker was given recently."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque(maxlen=TEXTS)

    def remember(self, params: Mapping[str, Any]) -> None:
        """Takes a unit's parameters: every string in them may be the client's."""
        self._texts.extend(value for value in params.values() if isinstance(value, str) and len(value) >= SHORT_RUN)

    def redact(self, line: str) -> str:
        """The line without what it has in common with those texts, cut to `LINE_CHARS` characters."""
        return without_quotations(line, self._texts)[:LINE_CHARS]


def without_quotations(line: str, texts: Iterable[str]) -> str:
    """The line without quotations of the texts, whatever their capitals, spaces and punctuation."""
    places = [at for at, ch in enumerate(line) if ch.isalnum()]
    folded = [line[at].casefold()[:1] for at in places]
    hidden = [False] * len(line)
    known = {part for text in texts for part in _runs([ch.casefold()[:1] for ch in text if ch.isalnum()])}
    for length in (RUN, SHORT_RUN):
        for begin in range(len(folded) - length + 1):
            if "".join(folded[begin : begin + length]) in known:
                first, last = places[begin], places[begin + length - 1]
                hidden[first : last + 1] = [True] * (last + 1 - first)
    return _shown(line, hidden)


def _runs(text: list[str]) -> Iterable[str]:
    for begin in range(len(text)):
        short, run = ("".join(text[begin : begin + length]) for length in (SHORT_RUN, RUN))
        if len(short) == SHORT_RUN and not short.isascii():
            yield short
        if len(run) == RUN:
            yield run


def _shown(line: str, hidden: list[bool]) -> str:
    parts: list[str] = []
    for ch, hide in zip(line, hidden, strict=True):
        if not hide:
            parts.append(ch)
        elif not parts or parts[-1] is not LEFT_OUT:
            parts.append(LEFT_OUT)
    return "".join(parts)
