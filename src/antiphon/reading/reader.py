"""Reader: reads a text in its language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from antiphon.reading.said import Reading, Rule, apply, plain

#: The rules of each language, by its primary tag; other languages are read as they are written.
RULES: Mapping[str, Sequence[Rule]] = {}


def read(text: str, language: str) -> Reading:
    """What is said for a sentence or a paragraph. `language`: a primary tag such as `en`."""
    rules = RULES.get(language, ())
    return apply(text, rules) if rules else plain(text)
