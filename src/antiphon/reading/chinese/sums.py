"""Sums: the signs of arithmetic between numbers and variables, fractions and powers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from antiphon.reading.chinese.numbers import number
from antiphon.reading.chinese.rule import rule
from antiphon.reading.chinese.units import UNIT
from antiphon.reading.chinese.words import table
from antiphon.reading.said import Said

_SIGNS = table(
    "+=加 −=减 ×=乘 ✕=乘 *=乘 ÷=除以 ==等于 ≠=不等于 ≈=约等于 ≥=大于等于 ≤=小于等于 ≧=大于等于 ≦=小于等于 >=大于 "
    "<=小于 ±=正负 ∓=负正 >==大于等于 <==小于等于 !==不等于 ≡=恒等于 ∝=正比于"
)
_OPERAND = r"(?:\d[\d.,]{0,40}%?|[A-Za-z](?![A-Za-z]))[²³]?"
_TERM = rf"\(?{_OPERAND}\)?"
_SUM = re.compile(
    rf"(?<![\dA-Za-z.,²³)]){_TERM}(?:[ ]?[-−+×✕÷*=≠≈≥≤<>/^][ ]?(?:[(]?[-−])?{_TERM}){{1,200}}(?=(?P<asked>等于|"
    rf"[是得]多少|得几|=))?"
)
_STRONG = re.compile("[+×÷*=≠≈≥≤]")
_MINUS = re.compile(r"(?<=[\dA-Za-z)%²³])[ ]?[-−][ ]?(?=[(\dA-Za-z])")
_NEGATIVE = re.compile(r"(?<=[-(=+×÷*/ ≥≤])[-−](?=[\dA-Za-z])")

#: A number or a variable on both sides; three signs are said before a number alone, too.
_BETWEEN = r"(?<=[\dA-Za-z)%⁰-⁹²³℃度米元])[ ]?(?:>=|<=|!=|[+×✕÷=≠≈≥≤≧≦><±∓≡∝])[ ]?(?=[-−(√±]?[\dA-Za-zπ√(±])"
signs = rule(
    rf"(?<![+=<>]){_BETWEEN}(?![+=])|(?<=\d)[ ]?[*✕][ ]?(?=\d)|[±≥≤≠≈≧≦](?=[ ]?[-−]?[\d{{A-Za-z])",
    lambda found: _SIGNS[found[0].strip()],
)
by = rule(rf"(?<=\d)[ ]?[xX][ ]?(?=\d+(?!\d)(?:\.\d+)?(?:[ ]?(?:{UNIT})(?![A-Za-z\d])|(?![A-Za-z])))", "乘")
#: >100, <5分钟 where no number is before it.
#: 24小时×7天, 长=5, 3个+2个.
words = rule(r"(?<=\w)[ ]?(?:[×÷=≈≠]|\+(?=[ ]?\d))[ ]?(?=\w)", lambda found: _SIGNS[found[0].strip()])
bounds = rule(r"(?<![\dA-Za-z<>=\-/\"'])(?P<said>[<>])(?=[ ]?\d)", lambda found: _SIGNS[found[0]])
plus = rule(r"(?<![\dA-Za-z+)%])\+(?=\d)", "正")
#: 18+.
more = rule(r"(?<=\d)\+(?![\d+=A-Za-z(])", "加")


def minuses(text: str) -> Iterator[Said]:
    """The minus signs of 5-3=2, which without the other signs would be a range."""
    for found in _SUM.finditer(text):
        if _STRONG.search(found[0]) or found["asked"]:
            for sign, said in ((_NEGATIVE, "负"), (_MINUS, "减")):
                for place in sign.finditer(text, found.start(), found.end()):
                    yield Said(place.start(), place.end(), said)


def _fraction(found: re.Match[str]) -> str | None:
    over, under = found["over"], found["under"]
    if not int(under):
        return None
    whole = f"{number(found['whole'])}又" if found["whole"] else ""
    return f"{'负' if found['minus'] else ''}{whole}{number(under)}分之{number(over)}"


fraction = rule(
    r"(?<![\d./A-Za-z])(?P<minus>(?<![\dA-Za-z])[-−])?(?:(?P<whole>\d{1,3})[ ])?"
    r"(?P<over>\d{1,4})/(?P<under>\d{1,5})(?![\d/年月日号楼]|"
    r"\.\d|[A-Za-z])",
    _fraction,
)
_POWERS = {"²": "的平方", "³": "的立方"}
_UP = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


def _power(found: re.Match[str]) -> str:
    exponent = (found["up"] or found["to"]).translate(_UP)
    minus, digits = ("负", exponent[1:]) if exponent[0] in "-−⁻" else ("", exponent)
    if digits in ("2", "3") and not minus:
        return "的平方" if digits == "2" else "的立方"
    return f"的{minus}{number(digits) if digits.isdecimal() else digits}次方"


#: x², 10⁶, 2^10.
power = rule(r"(?<=[\dA-Za-z)])(?:(?P<up>⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,4})|\^(?P<to>[-−]?\d{1,4}|[a-z](?![a-z])))", _power)
root = rule(r"√(?=[ ]?[\dA-Za-z(])", "根号")
pi = rule(r"π", "派")
endless = rule("∞", "无穷大")

FIRST = (by,)
RULES = (minuses, fraction, power, signs, root, words, plus, more, bounds, pi, endless)
