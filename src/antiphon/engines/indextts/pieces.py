"""Pieces: speaks a text; what fails the quality guard is tried with other seeds, then in two halves, then refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from antiphon.domain import errors
from antiphon.engines.indextts.guard import Guard, letters
from antiphon.engines.indextts.seeding import derive

#: Seeds to try for one piece before it is halved.
TRIES = 3
#: Most times that a text is halved, and the fewest letters of a half.
HALVINGS, SHORTEST = 2, 12
#: Places to halve a text, the best first: after a sentence, after a clause, between words, between letters.
_PLACES = (
    re.compile(r"(?<=[.!?。！？])\s*"),
    re.compile(r"(?<=[,;:，；：、])\s*"),
    re.compile(r"\s+"),
    re.compile(r"(?<=\w)(?=\w)"),
)
#: A pronunciation mark of IndexTTS-2.5, `<word|pronunciation>`, is never cut.
_MARK = re.compile(r"<[^|>\n]+\|[^>\n]+>")

#: Says a piece with a seed; the samples are int16 in one dimension.
Say = Callable[[str, int], Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A piece of the text, to be said with a seed."""

    text: str
    seed: int
    #: Which half of which half it is, and how often it was tried before.
    path: tuple[int, ...] = ()
    number: int = 0


class Utterance:
    """What is to be said next of a text; whoever says it reports the audio, and is given it back if it is accepted."""

    def __init__(
        self, text: str, seed: int, guard: Guard, rate: int, duration: float, length: Callable[[str], float] = letters
    ) -> None:
        """`duration` is in times the usual length; `length` counts the letters of what is said of a text."""
        self._seed, self._guard, self._rate, self._duration, self._length = seed, guard, rate, duration, length
        #: Pieces to say, the next one last.
        self._stack = [Attempt(text, derive(seed, (), 0))]
        #: The whole text, and letters of it that were said.
        self._text, self._said = text, 0.0

    @property
    def attempt(self) -> Attempt | None:
        """What to say next; None at the end."""
        return self._stack[-1] if self._stack else None

    @property
    def part(self) -> tuple[float, float]:
        """Which part of the text `attempt` is: from and to, 0 to 1."""
        whole = max(1.0, self._length(self._text))
        length = self._length(self._stack[-1].text) if self._stack else 0.0
        return min(1.0, self._said / whole), min(1.0, (self._said + length) / whole)

    def report(self, audio: Any, whole: bool = True) -> Any | None:
        """The audio of `attempt`, if the guard accepts it. Raises `UnitFailed` if all attempts fail. `whole`: the model
        came to an end by itself."""
        tried = self._stack.pop()
        problem = self._guard.problem(audio, self._rate, self._length(tried.text), self._duration)
        if problem is None and not whole:
            problem = f"it did not come to an end in {len(audio) / self._rate:.1f} s"
        if problem is None:
            self._said += self._length(tried.text)
            return audio
        if tried.number + 1 < TRIES:
            self._stack.append(self._made(tried.text, tried.path, tried.number + 1))
            return None
        halves = halved(tried.text) if len(tried.path) < HALVINGS else None
        if halves is None:
            raise errors.UnitFailed(
                f"The model could not say {tried.text[:40]!r}: {problem}, {TRIES} times. Another seed, another voice, "
                "or other words may help"
            )
        self._stack += [self._made(half, (*tried.path, n + 1), 0) for n, half in reversed(list(enumerate(halves)))]
        return None

    def _made(self, text: str, path: tuple[int, ...], number: int) -> Attempt:
        return Attempt(text, derive(self._seed, path, number), path, number)


def speak(utterance: Utterance, say: Say) -> Iterator[Any]:
    """The audio of a text's pieces, in order, each accepted by the guard. Raises `UnitFailed`."""
    while (attempt := utterance.attempt) is not None:
        audio = utterance.report(say(attempt.text, attempt.seed))
        if audio is not None:
            yield audio


def halved(text: str) -> tuple[str, str] | None:
    """Two parts of about the same length, cut at the best place near the middle; None if the text is too short."""
    if letters(text) < 2 * SHORTEST:
        return None
    marks = [match.span() for match in _MARK.finditer(text)]
    middle = len(text) / 2
    for places in _PLACES:
        spots = [
            match.end()
            for match in places.finditer(text)
            if not any(start < match.end() < end for start, end in marks)
            and letters(text[: match.end()]) >= SHORTEST
            and letters(text[match.end() :]) >= SHORTEST
        ]
        if spots:
            spot = min(spots, key=lambda at: abs(at - middle))
            return text[:spot].strip(), text[spot:].strip()
    return None
