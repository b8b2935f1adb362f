"""Numbers: how Arabic digits are said in Chinese, as a number or digit by digit."""

from __future__ import annotations

_DIGITS = "零一二三四五六七八九"
_PLACES = ("", "十", "百", "千")
#: Above this many digits nobody says a number; they are read one by one.
LONGEST = 16


def digits(text: str, *, phone: bool = False) -> str:
    """Digit by digit; whatever is no digit is silent. `phone`: one is said 幺, which cannot be heard as seven."""
    said = "".join(_DIGITS[int(ch)] for ch in text if ch.isdecimal())
    return said.replace("一", "幺") if phone else said


def number(text: str) -> str:
    """A number such as 1,234.50; digit by digit where it begins with a zero or is too long."""
    whole, _, fraction = text.replace(",", "").partition(".")
    spelled = len(whole) > LONGEST or (len(whole) > 1 and whole[0] == "0")
    said = digits(whole) if spelled else _cardinal(int(whole or "0"))
    return f"{said}点{digits(fraction)}" if fraction else said


def counted(text: str) -> str:
    """A number before a measure word: two is 两."""
    said = number(text)
    return "两" if said == "二" else said


def _cardinal(value: int) -> str:
    if value == 0:
        return "零"
    said = _below_hundred_million(value % 10**8)
    if high := value // 10**8:
        low = value % 10**8
        said = _below_hundred_million(high) + "亿" + ("零" if 0 < low < 10**7 else "") + said
    said = said.removeprefix("一") if said.startswith("一十") else said
    return "两" + said[1:] if said[0] == "二" and said[1:2] in ("千", "万", "亿") else said


def _below_hundred_million(value: int) -> str:
    high, low = divmod(value, 10**4)
    if not high:
        return _below_ten_thousand(low)
    return _below_ten_thousand(high) + "万" + ("零" if 0 < low < 1000 else "") + _below_ten_thousand(low)


def _below_ten_thousand(value: int) -> str:
    said, gap = "", False
    for place in range(3, -1, -1):
        digit = value // 10**place % 10
        if digit:
            said += ("零" if gap and said else "") + _DIGITS[digit] + _PLACES[place]
            gap = False
        else:
            gap = True
    return said
