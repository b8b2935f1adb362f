"""Reader: reads a text in its language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from antiphon.reading import chinese
from antiphon.reading.chinese.mixed import foreign, native
from antiphon.reading.english import rules as english
from antiphon.reading.said import Reading, Rule, apply, chain, join, plain

#: The rules of each language, by its primary tag; other languages are read as they are written.
RULES: Mapping[str, Sequence[Rule]] = {"en": english.RULES, "zh": chinese.RULES}


def read(text: str, language: str) -> Reading:
    """What is said for a sentence or a paragraph. `language`: a primary tag such as `en`.

    Of mixed text, sentences in Latin letters are read in English; Chinese, with the names and the numbers beside it, is
    read in Chinese.
    """
    if language not in ("en", "zh"):
        rules = RULES.get(language, ())
        return apply(text, rules) if rules else plain(text)
    own, other, spans = (_chinese, _english, foreign) if language == "zh" else (_english, _chinese, native)
    parts: list[Reading] = []
    at = 0
    for start, end in (*spans(text), (len(text), len(text))):
        parts += own(text[at:start]), other(text[start:end])
        at = end
    return join(parts)


def _english(text: str) -> Reading:
    return apply(text, RULES["en"])


def _chinese(text: str) -> Reading:
    characters = apply(text, chinese.CHARACTERS)
    return chain(characters, apply(characters.text, RULES["zh"]))
