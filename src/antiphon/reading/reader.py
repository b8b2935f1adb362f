"""Reader: reads a text in its language."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial

from antiphon.reading import chinese, switches
from antiphon.reading.chinese.mixed import foreign, native
from antiphon.reading.chinese.words import HAN
from antiphon.reading.english import rules as english
from antiphon.reading.said import Reading, Rule, apply, chain, join, plain

#: The rules of each language, by its primary tag; other languages are read as they are written.
RULES: Mapping[str, Sequence[Rule]] = {"en": english.RULES, "zh": chinese.RULES}
#: Chinese in which no rule finds anything: characters and their punctuation, nothing else.
_ONLY_CHINESE = re.compile(f"[{HAN}，。！？；、“”‘’（）《》「」…\\s]*+")


def read(text: str, language: str, off: frozenset[str] = frozenset()) -> Reading:
    """What is said for a sentence or a paragraph. `language`: a primary tag such as `en`; `off`: names of
    `switches.NAMES`, whose kinds are said as they are written.

    Of mixed text, sentences in Latin letters are read in English; Chinese, with the names and the numbers beside it, is
    read in Chinese.
    """
    if language not in RULES or switches.ALL in off:
        return plain(text)
    if language == "zh" and _ONLY_CHINESE.fullmatch(text):
        return plain(text)
    own, other, spans = (_chinese, _english, foreign) if language == "zh" else (_english, _chinese, native)
    own, other = partial(own, off=off), partial(other, off=off)
    parts: list[Reading] = []
    at = 0
    for start, end in (*spans(text), (len(text), len(text))):
        parts += own(text[at:start]), other(text[start:end])
        at = end
    return join(parts)


def _rules(language: str, off: frozenset[str]) -> Sequence[Rule]:
    return switches.rules(language, off) if off else RULES[language]


def _english(text: str, *, off: frozenset[str]) -> Reading:
    return apply(text, _rules("en", off))


def _chinese(text: str, *, off: frozenset[str]) -> Reading:
    characters = apply(text, chinese.CHARACTERS)
    return chain(characters, apply(characters.text, _rules("zh", off)))
