"""Finding: rules as regular expressions.

Expressions must be linear: repetition is possessive (`++`), and what a match may begin with is excluded before it by a
lookbehind, so that a long run is not tried again from each of its characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from antiphon.reading.said import Rule, Said

#: What is said for a match; None leaves it to later rules.
Says = Callable[[re.Match[str]], str | None]


def rule(pattern: str, flags: int = 0) -> Callable[[Says], Rule]:
    """A rule that reads what `pattern` finds, or only its group `said`: the rest is what must stand beside it."""
    compiled = re.compile(pattern, flags)
    group: str | int = "said" if "said" in compiled.groupindex else 0

    def decorate(says: Says) -> Rule:
        def find(text: str) -> Iterator[Said]:
            for match in compiled.finditer(text):
                if (said := says(match)) is not None and match.start(group) >= 0:
                    yield Said(*match.span(group), said)

        find.__name__, find.__doc__ = says.__name__, says.__doc__
        return find

    return decorate


def only_with(pattern: str, rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The same rules for texts in which `pattern` is found; for others they are not tried. Most sentences have no
    digit, and most rules need one."""
    search = re.compile(pattern).search
    # The answer for the text that was asked about last: all of `rules` ask about the same one. One tuple, which threads
    # replace as a whole.
    last = ("", search("") is not None)

    def found(text: str) -> bool:
        nonlocal last
        known = last
        if known[0] is not text:
            last = known = (text, search(text) is not None)
        return known[1]

    def gated(rule: Rule) -> Rule:
        def find(text: str) -> Iterable[Said]:
            return rule(text) if found(text) else ()

        find.__name__, find.__doc__, find.__wrapped__ = rule.__name__, rule.__doc__, rule  # type: ignore[attr-defined]
        return find

    return tuple(map(gated, rules))


def unread(rule: Rule) -> Rule:
    """A rule that is switched off: what it finds is said as it is written, and no later rule reads it."""

    def find(text: str) -> Iterator[Said]:
        return (Said(part.start, part.end, None) for part in rule(text))

    return find


def keep(pattern: str, when: Callable[[re.Match[str]], bool] = bool) -> Rule:
    """A rule that lets what `pattern` finds be said as it is written."""
    compiled = re.compile(pattern)

    def find(text: str) -> Iterator[Said]:
        return (Said(*match.span(), None) for match in compiled.finditer(text) if when(match))

    return find
