"""Switches: kinds of things that a client may leave to the engine, by the names of Kokoro-FastAPI's options."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from antiphon.reading import chinese
from antiphon.reading.chinese import codes, sums
from antiphon.reading.chinese import units as chinese_units
from antiphon.reading.english import abbreviations, links, symbols, telephone, units
from antiphon.reading.english import rules as english
from antiphon.reading.finding import unread
from antiphon.reading.said import Rule

#: Leaves every kind to the engine.
ALL = "normalize"
#: The rules of each kind. A few belong to none, such as those of years and of Roman numerals.
KINDS: Mapping[str, frozenset[Rule]] = {
    "unit_normalization": frozenset((*units.RULES, *chinese_units.FIRST, *chinese_units.RULES)),
    "url_normalization": frozenset((links.pages, links.sites)),
    "email_normalization": frozenset((links.mail,)),
    "optional_pluralization_normalization": frozenset((abbreviations.plurals,)),
    "phone_normalization": frozenset(
        (telephone.american, telephone.abroad, telephone.with_trunk, telephone.local, telephone.spelled,
         telephone.dialled, codes.phones, codes.called)
    ),
    "replace_remaining_symbols": frozenset((*symbols.RULES, sums.signs, sums.root, sums.pi, sums.endless)),
}  # fmt: skip
#: The names of all switches.
NAMES = (ALL, *KINDS)


@lru_cache(maxsize=64)
def rules(language: str, off: frozenset[str]) -> tuple[Rule, ...]:
    """The rules of a language with some kinds switched off: those say as it is written what they find."""
    left = frozenset[Rule]().union(*(KINDS[name] for name in off))
    every = english.RULES if language == "en" else chinese.RULES
    return tuple(unread(rule) if getattr(rule, "__wrapped__", rule) in left else rule for rule in every)
