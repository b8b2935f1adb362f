"""Latin: names of Latin letters and digits in Chinese text: GPT-4, iPhone 15, H7N9, B2B."""

from __future__ import annotations

import re

from antiphon.reading.chinese.numbers import digits, number
from antiphon.reading.chinese.rule import rule
from antiphon.reading.chinese.words import COUNTED


def _name(found: re.Match[str]) -> str | None:
    between, value = found["between"], found["value"]
    if between == " " and re.match(COUNTED, found.string[found.end() :][:4]):
        return None
    return ("" if between in ("-", "") else between) + _model(value)


def _model(value: str) -> str:
    """Numbers of names: short and round ones are said as numbers, A380 and 2024 digit by digit."""
    if "." in value or ((len(value) < 3 or value.endswith("00")) and value[0] != "0"):
        return number(value)
    return digits(value)


#: GPT-4, H7N9, iPhone 15, PM2.5, A380.
named = rule(
    r"(?<=[A-Za-z])(?<!\d[xX])(?P<said>(?P<between>[- ]?)(?P<value>\d{1,12}(?:\.\d{1,4})?))(?!\.?\d|[:：/]\d)", _name
)
#: B2B, O2O; H2O is water.
between = rule(r"(?<![A-Za-z\d])(?!H)[A-Z](?P<said>2)[A-Z](?![A-Za-z\d])", " to ")
four = rule(r"(?<![A-Za-z\d])[A-Z](?P<said>4)[A-Z](?![A-Za-z\d])", " for ")
#: 3D stays as it is: engines say it in the language of the name.
left = rule(r"(?<![\dA-Za-z.])[23]D(?![A-Za-z\d])", lambda found: found[0])
#: Addresses of pages and of mail stand as they are written.
addresses = rule(
    r"(?<![A-Za-z\d])(?:https?://|ftp://|www\.)[!-~]{1,2000}|(?<![A-Za-z\d._%+-])[A-Za-z\d_%+-][A-Za-z\d._%+-]{0,63}@[A-Za-z\d-]{1,63}(?:\.[A-Za-z\d-]{1,63}){1,8}",
    lambda found: found[0],
)

RULES = (left, between, named)
