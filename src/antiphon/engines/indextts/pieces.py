"""Pieces: speaks a text; what fails the quality guard is tried with other seeds, then in two halves, then refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
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


def speak(text: str, seed: int, say: Say, guard: Guard, rate: int, duration: float) -> Iterator[Any]:
    """The audio of a text's pieces, in order, each accepted by the guard. `duration` is in times the usual length.

    Raises `UnitFailed` with what is wrong if all attempts fail.
    """
    yield from _speak(text, seed, say, guard, rate, duration, ())


def _speak(
    text: str, seed: int, say: Say, guard: Guard, rate: int, duration: float, path: tuple[int, ...]
) -> Iterator[Any]:
    problem = None
    for attempt in range(TRIES):
        audio = say(text, derive(seed, path, attempt))
        problem = guard.problem(audio, rate, letters(text), duration)
        if problem is None:
            yield audio
            return
    halves = halved(text) if len(path) < HALVINGS else None
    if halves is None:
        raise errors.UnitFailed(
            f"The model could not say {text[:40]!r}: {problem}, {TRIES} times. Another seed, another voice, or other "
            "words may help"
        )
    for number, half in enumerate(halves):
        yield from _speak(half, seed, say, guard, rate, duration, (*path, number + 1))


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
