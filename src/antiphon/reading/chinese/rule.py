"""Rule: makes a rule of a regular expression and of what is said for a match."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from antiphon.reading.said import Rule, Said

#: What is said for a match; None leaves it to the rules that follow.
Say = Callable[[re.Match[str]], str | None]


def rule(pattern: str, say: Say | str) -> Rule:
    """Reads what `pattern` finds, or its group `said` where it has one; the rest of the match is context.

    A pattern takes linear time: it begins only where no match of its own could be under way (a lookbehind), and what it
    repeats is bounded or ends where it began.
    """
    compiled = re.compile(pattern)
    group: int | str = "said" if "said" in compiled.groupindex else 0

    def find(text: str) -> Iterator[Said]:
        for found in compiled.finditer(text):
            said = say if isinstance(say, str) else say(found)
            if said is not None and found.start(group) >= 0:
                yield Said(found.start(group), found.end(group), said)

    return find
