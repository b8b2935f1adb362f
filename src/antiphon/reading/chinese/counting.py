"""Counting: numbers as such, two before a measure word, minus."""

from __future__ import annotations

import re

from antiphon.reading.chinese.numbers import counted, digits, number
from antiphon.reading.chinese.rule import rule
from antiphon.reading.chinese.units import UNIT
from antiphon.reading.chinese.words import MEASURE, MINUS, NUMBER, TO

#: A measure word after the number, or after the other end of a range: 2个, 2-3天.
_THING = re.compile(rf"(?:{TO}\d{{1,9}})?[ ]?(?:多|余)?(?:{MEASURE}|(?:{UNIT})(?![A-Za-z\d])|[万亿千])")


def _number(found: re.Match[str]) -> str:
    text, end = found.string, found.end()
    if (
        found[0] == "2"
        and text[found.start() - 1 : found.start()] not in ("第", "初", "周", "期")
        and _THING.match(text, end)
    ):
        return counted(found[0])
    return number(found[0])


minus = rule(rf"{MINUS}(?=\d)", "负")
numbers = rule(NUMBER, _number)
#: Whatever digits no rule has read.
rest = rule(r"\d{1,64}", lambda found: digits(found[0]))

RULES = (minus, numbers, rest)
