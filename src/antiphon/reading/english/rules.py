"""Rules: every rule of English in its order, the most particular first."""

from __future__ import annotations

from antiphon.reading.english import abbreviations, dates, links, money, numerals, roman, symbols, telephone, units
from antiphon.reading.said import Rule

#: Each group with its name, as the table of kinds in docs/text.md has them. What is longer or rarer stands before what
#: is a part of it: a date before a fraction, a telephone before a range, all of them before plain numbers.
GROUPS: tuple[tuple[str, tuple[Rule, ...]], ...] = (
    ("links", links.RULES),
    ("kept", links.KEPT),
    ("telephone", telephone.RULES),
    ("dates", dates.RULES),
    ("money", money.RULES),
    ("fractions", numerals.EARLY),
    ("units", units.RULES),
    ("symbols", symbols.RULES),
    ("numerals", numerals.RULES),
    ("roman", roman.RULES),
    ("abbreviations", abbreviations.RULES),
    ("codes", telephone.LATE),
    ("years", (dates.years,)),
    ("numbers", numerals.LATE),
)
RULES: tuple[Rule, ...] = tuple(rule for _, rules in GROUPS for rule in rules)
