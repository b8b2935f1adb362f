"""Money: amounts with the sign or the code of a currency."""

from __future__ import annotations

import re
from decimal import Decimal

from antiphon.reading.chinese.numbers import counted
from antiphon.reading.chinese.rule import rule
from antiphon.reading.chinese.words import BIG, NUMBER, TO, table

_SIGNS = table(
    "¥=元 ￥=元 $=美元 €=欧元 £=英镑 ₩=韩元 ₹=卢比 ₽=卢布 ฿=泰铢 ₫=越南盾 ₿=比特币 US$=美元 HK$=港元 "
    "NT$=新台币 A$=澳元 AU$=澳元 C$=加元 CA$=加元 S$=新加坡元 JP¥=日元 CN¥=元"
)
_CODES = table(
    "USD=美元 CNY=元 RMB=元 EUR=欧元 GBP=英镑 JPY=日元 HKD=港元 TWD=新台币 KRW=韩元 AUD=澳元 CAD=加元 "
    "CHF=瑞士法郎 SGD=新加坡元 RUB=卢布 INR=卢比 THB=泰铢 MOP=澳门元"
)
_ANY_SIGN = "|".join(map(re.escape, sorted(_SIGNS, key=len, reverse=True)))
_ANY_CODE = "|".join(_CODES)
#: What is written after the amount although the sign says it already.
_UNIT = "元|美元|欧元|英镑|日元|港元|港币|美金|块钱|块|人民币|韩元|卢布|澳元|加元"
_THOUSANDS = {"K": 10**3, "k": 10**3, "M": 10**6, "m": 10**6, "B": 10**9, "b": 10**9, "bn": 10**9, "T": 10**12}


def _amount(found: re.Match[str]) -> str:
    currency = found["unit"] or _SIGNS.get(found["sign"] or "") or _CODES[found["code"]]
    first, last = found["first"], found["last"]
    big = found["big"] or ""
    said = _value(first, found["scale"] if not last else "", "" if last else big)
    if last:
        said += "到" + _value(last, found["scale"], big)
    return ("负" if found["minus"] else "") + said + currency + ("整" if found["whole"] else "")


def _value(digits: str, scale: str | None, big: str) -> str:
    if scale:
        value = Decimal(digits.replace(",", "")) * _THOUSANDS[scale]
        for power, name in ((10**8, "亿"), (10**4, "万")):
            if value >= power and value % (power // 100) == 0:
                digits, big = format((value / power).normalize(), "f"), name
                break
        else:
            digits = format(value, "f")
    return counted(digits) + big


_AMOUNT = rf"(?P<first>{NUMBER})(?:{TO}(?:{_ANY_SIGN})?(?P<last>{NUMBER}))?"
_SCALE = rf"(?:(?P<scale>bn|[KkMmBbT])(?![A-Za-z\d]))?[ ]?(?P<big>{BIG})?"
signed = rule(
    rf"(?P<minus>[-−])?(?P<code>)(?:(?P<sign>{_ANY_SIGN}))(?<!\d[$€£])[ ]?{_AMOUNT}{_SCALE}"
    rf"[ ]?(?P<unit>{_UNIT})?(?P<whole>整)?",
    _amount,
)
coded = rule(
    rf"(?<![A-Za-z])(?P<minus>)(?P<sign>)(?P<code>{_ANY_CODE})[ ]?{_AMOUNT}{_SCALE}(?P<unit>{_UNIT})?(?P<whole>整)?",
    _amount,
)
#: 100 USD, 100€.
after = rule(
    rf"{NUMBER}(?:{BIG})?(?P<said>[ ]?(?:(?P<code>{_ANY_CODE})(?![A-Za-z])|(?P<sign>[¥￥€£₩₹₽฿])(?![ ]?\d)))",
    lambda found: _CODES.get(found["code"] or "") or _SIGNS[found["sign"]],
)

RULES = (signed, coded, after)
