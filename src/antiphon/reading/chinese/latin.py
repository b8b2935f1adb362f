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
    return ("" if between in ("-", "") else between) + _model(value) + digits(found["more"] or "")


def _model(value: str) -> str:
    """Numbers of names: iPhone 15 and TOP100 say numbers, N95 and A380 digits."""
    short = len(value) < 2 or (len(value) == 2 and (value < "30" or value[1] == "0"))
    if "." in value or ((short or value.endswith("00")) and value[0] != "0"):
        return number(value)
    return digits(value)


#: GPT-4, H7N9, iPhone 15, PM2.5, A380.
named = rule(
    r"(?<=[A-Za-z])(?<!\d[xX])(?P<said>(?P<between>[- ]?)(?P<value>\d{1,12}(?:\.\d{1,4})?)"
    r"(?:-(?P<more>\d{3,6}))?)(?!\.?\d|[:：/]\d)",
    _name,
)
#: Llama-3-70B, Qwen2.5-7B: the dash is no range.
serial = rule(
    r"(?:(?<=[A-Za-z]-\d)|(?<=[A-Za-z]-\d\d)|(?<=[A-Za-z]\d\.\d)|(?<=[A-Za-z]-\d\.\d))-(?=\d{1,4}(?:[A-Za-z]|(?!\d)))",
    "",
)
#: B2B, O2O; H2O is water.
between = rule(r"(?<![A-Za-z\d])(?!H)[A-Z](?P<said>2)[A-Z](?![A-Za-z\d])", " to ")
#: No.1.
numbered = rule(r"(?<![A-Za-z])N[oO]\.[ ]?(?=\d)", "第")
#: 1080p.
lines = rule(r"(?<![\d.A-Za-z])(?:\d{3}|1080|1440|2160)(?=[pP](?![A-Za-z]))", lambda found: digits(found[0]))
#: 3D stays as it is: engines say it in the language of the name.
left = rule(r"(?<![\dA-Za-z.])[23]D(?![A-Za-z\d])", lambda found: found[0])

RULES = (left, serial, between, lines, numbered, named)
