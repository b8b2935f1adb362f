"""Rules: every rule of English in its order, the most particular first."""

from __future__ import annotations

from antiphon.reading.english import abbreviations, dates, links, money, numerals, roman, symbols, telephone, units
from antiphon.reading.finding import only_with
from antiphon.reading.said import Rule

_DIGIT = "[0-9№]"
#: A numeral, with its ending: `XIXth`.
_ROMAN = r"(?<![A-Za-z])[IVXLCDM]+(?:[^A-Za-z]|$|th|st|nd|rd|s)|[\u2160-\u217f]"

#: What is longer or rarer stands before what is a part of it: a date before a fraction, a telephone before a range, all
#: of them before plain numbers.
RULES: tuple[Rule, ...] = (
    *only_with(r"[@/#.]", links.RULES),
    *only_with(r"\(e?s\)", (abbreviations.plurals,)),
    *only_with(r"[./~\[(<½]|0-0|O-O", links.KEPT),
    *only_with(_DIGIT, telephone.RULES),
    *only_with(rf"{_DIGIT}|[ap]\.m\.|[A-Z][a-z]{{1,8}}(?:\.|\.? ?[-–—])", dates.RULES),
    *only_with(_DIGIT, money.RULES),
    *only_with(rf"{_DIGIT}|[\u00bc-\u00be\u2150-\u215e]", numerals.EARLY),
    *only_with(rf"{_DIGIT}|[²³^]", units.RULES),
    *only_with(r"[^\w\s.,;:?!'\"()’“”‘—-]|[ABCDEFG][+#]|[vV]?[0-9]|\.N|[₀-₉⁰¹²³-⁹πΔµ]", symbols.RULES),
    *only_with(_DIGIT, numerals.RULES),
    *only_with(_ROMAN, roman.RULES),
    *only_with(r"[./]|[A-Z]{2}|-[0-9]|vs|[aA]ka|AKA|St|Dr|PhD|Ave|Rd|Blvd|Apt|Hwy|Ln", abbreviations.RULES),
    *only_with(_DIGIT, (*telephone.LATE, dates.years, *numerals.LATE)),
)
