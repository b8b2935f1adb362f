"""Stretches of a marked text: what is said at one tempo, and the silence after it."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.domain import errors

#: Seconds of one pause, and of all pauses of a text: silence costs memory as speech does.
MAX_PAUSE, MAX_PAUSES = 10.0, 600.0


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text, as it was written: it is cleaned later."""

    text: str
    #: Seconds of silence after it, on top of what the text's own marks give.
    pause: float = 0.0
    #: Factor on the speed.
    rate: float = 1.0


class Spans:
    """Collects stretches in order; pauses in a row add up, one before any text stands alone."""

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
        """Raises `InvalidText` for more silence than anybody wants."""
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
