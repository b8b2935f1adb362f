"""Spans: parts of a text with markup, each at one tempo and with the silence after it."""

from __future__ import annotations

from dataclasses import dataclass, field

from antiphon.domain import errors

#: Most seconds of one pause, and of all pauses of a text: silence takes as much memory as speech.
MAX_PAUSE, MAX_PAUSES = 10.0, 600.0
#: Most spans of a text: each is cleaned and planned by itself.
MAX_SPANS = 20_000


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text, not cleaned yet."""

    text: str
    #: Seconds of silence after it, added to the pauses of its punctuation.
    pause: float = 0.0
    #: Factor of the speed.
    rate: float = 1.0


@dataclass(slots=True)
class _Draft:
    """A span that may still grow. Its text is joined once: joining it after each pause takes quadratic time."""

    parts: list[str] = field(default_factory=list)
    pause: float = 0.0
    rate: float = 1.0


class Spans:
    """Collects spans in order. Pauses in a row add up; one before any text is a span of its own."""

    def __init__(self) -> None:
        self._drafts: list[_Draft] = []
        self._text: list[str] = []
        self._rate = 1.0
        self._pauses = 0.0

    def add(self, text: str, rate: float) -> None:
        """Adds text. Raises `InvalidText` above `MAX_SPANS`."""
        if text and rate != self._rate:
            self._flush(0.0)
            self._rate = rate
        if text:
            self._text.append(text)

    def pause(self, seconds: float) -> None:
        """Adds a pause. Raises `InvalidText` above `MAX_PAUSE`, `MAX_PAUSES` or `MAX_SPANS`."""
        if seconds > MAX_PAUSE:
            raise errors.InvalidText(
                f"A pause of {seconds:g} s is too long: at most {MAX_PAUSE:g} s at one place", param="text"
            )
        self._pauses += seconds
        self._flush(seconds)
        check(len(self._drafts), self._pauses)

    def done(self) -> list[Span]:
        """The spans. Raises `InvalidText` above `MAX_SPANS`."""
        self._flush(0.0)
        return [Span("".join(draft.parts), draft.pause, draft.rate) for draft in self._drafts]

    def _flush(self, pause: float) -> None:
        text = "".join(self._text)
        self._text.clear()
        if text and not text.isspace():
            self._drafts.append(_Draft([text], pause, self._rate))
            check(len(self._drafts), self._pauses)
        elif self._drafts and (text or pause):
            self._drafts[-1].parts.append(text)
            self._drafts[-1].pause += pause
        elif pause:
            self._drafts.append(_Draft(pause=pause))


def check(spans: int, pauses: float) -> None:
    """Raises `InvalidText` for more spans, or seconds of pauses, than a text may have, also one of several turns."""
    if pauses > MAX_PAUSES:
        raise errors.InvalidText(f"The pauses are longer than {MAX_PAUSES:g} s together", param="text")
    if spans > MAX_SPANS:
        raise errors.InvalidText(
            f"Pauses and changes of tempo cut the text into more than {MAX_SPANS:,} parts; send it as several texts",
            param="text",
        )
