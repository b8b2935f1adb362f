"""Spans: parts of a text with markup, each at one tempo and with the silence after it."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.domain import errors

#: Most seconds of one pause, and of all pauses of a text: silence takes as much memory as speech.
MAX_PAUSE, MAX_PAUSES = 10.0, 600.0


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text, not cleaned yet."""

    text: str
    #: Seconds of silence after it, added to the pauses of its punctuation.
    pause: float = 0.0
    #: Factor of the speed.
    rate: float = 1.0


class Spans:
    """Collects spans in order. Pauses in a row add up; one before any text is a span of its own."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._text: list[str] = []
        self._rate = 1.0
        self._pauses = 0.0

    def add(self, text: str, rate: float) -> None:
        if text and rate != self._rate:
            self._flush(0.0)
            self._rate = rate
        if text:
            self._text.append(text)

    def pause(self, seconds: float) -> None:
        """Adds a pause. Raises `InvalidText` above `MAX_PAUSE` or `MAX_PAUSES`."""
        if seconds > MAX_PAUSE:
            raise errors.InvalidText(
                f"A pause of {seconds:g} s is too long: at most {MAX_PAUSE:g} s at one place", param="text"
            )
        self._pauses += seconds
        if self._pauses > MAX_PAUSES:
            raise errors.InvalidText(f"The pauses are longer than {MAX_PAUSES:g} s together", param="text")
        self._flush(seconds)

    def done(self) -> list[Span]:
        self._flush(0.0)
        return self._spans

    def _flush(self, pause: float) -> None:
        text = "".join(self._text)
        self._text.clear()
        if text.strip():
            self._spans.append(Span(text, pause, self._rate))
        elif pause and self._spans:
            last = self._spans[-1]
            self._spans[-1] = Span(last.text + text, last.pause + pause, last.rate)
        elif pause:
            self._spans.append(Span("", pause))
        elif text and self._spans:
            last = self._spans[-1]
            self._spans[-1] = Span(last.text + text, last.pause, last.rate)
