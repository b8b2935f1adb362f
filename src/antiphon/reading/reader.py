"""Reader: reads a text in its language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from antiphon.reading import chinese
from antiphon.reading.chinese.mixed import foreign
from antiphon.reading.english import rules as english
from antiphon.reading.said import Reading, Rule, apply, chain, join, plain

#: The rules of each language, by its primary tag; other languages are read as they are written.
RULES: Mapping[str, Sequence[Rule]] = {"en": english.RULES, "zh": chinese.RULES}


def read(text: str, language: str) -> Reading:
    """What is said for a sentence or a paragraph. `language`: a primary tag such as `en`."""
    if language == "zh":
        return _read_chinese(text)
    rules = RULES.get(language, ())
    return apply(text, rules) if rules else plain(text)


def _read_chinese(text: str) -> Reading:
    """Sentences in Latin letters are read in English; names and numbers beside Chinese are read in Chinese."""
    parts: list[Reading] = []
    at = 0
    for start, end in (*foreign(text), (len(text), len(text))):
        characters = apply(text[at:start], chinese.CHARACTERS)
        parts += chain(characters, apply(characters.text, RULES["zh"])), read(text[start:end], "en")
        at = end
    return join(parts)
