"""Characters: full-width letters and digits, numbers and units that are one character, signs of repetition."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from antiphon.reading.chinese.numbers import digits, number
from antiphon.reading.chinese.rule import rule
from antiphon.reading.chinese.words import HAN
from antiphon.reading.said import Said

#: Full-width signs that belong to numbers. Full-width punctuation is Chinese punctuation, and stays.
_SIGNS = "＋－＝／％＄￥＃＜＞＊＾．＆＠"
_WIDE = re.compile(f"[０-９Ａ-Ｚａ-ｚ{_SIGNS}]|(?![0-9])\\d")
_CIRCLED = re.compile("[①-⑳⑴-⒇⒈-⒛㈠-㈩㊀-㊉Ⅰ-Ⅻⅰ-ⅻ]")


def narrow(text: str) -> Iterator[Said]:
    """Full-width letters and digits, and digits of other scripts, as ASCII has them, for the rules to see."""
    for found in _WIDE.finditer(text):
        ch = found[0]
        # A full-width full stop is one of a decimal between digits, else the end of a sentence.
        if ch == "．" and not (text[found.end() : found.end() + 1].isdecimal()):
            continue
        said = str(unicodedata.decimal(ch)) if ch.isdecimal() else unicodedata.normalize("NFKC", ch)
        yield Said(found.start(), found.end(), said)


def circled(text: str) -> Iterator[Said]:
    """①, ⑴, ⒈, Ⅳ: the number."""
    for found in _CIRCLED.finditer(text):
        value = int(unicodedata.numeric(found[0]))
        pause = "" if text[found.end() : found.end() + 1] in (*"、，。：；）)号章节部世期级卷 ", "") else "，"
        before = text[max(found.start() - 1, 0) : found.start()]
        ordinal = before == "第" or before.isalnum() or found[0] in "ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩⅪⅫ"
        yield Said(found.start(), found.end(), number(str(value)) + ("" if ordinal else pause))


def fractions(text: str) -> Iterator[Said]:
    """½: 二分之一."""
    for found in re.finditer("[½⅓⅔¼¾⅕-⅞]", text):
        over, _, under = unicodedata.normalize("NFKC", found[0]).partition("⁄")
        whole = "又" if text[found.start() - 1 : found.start()].isdecimal() else ""
        yield Said(found.start(), found.end(), f"{whole}{number(under)}分之{number(over)}")


#: 々 repeats the character before it; 〇 is zero.
repeated = rule(f"(?<=([{HAN}]))々", lambda found: found[1])
zero = rule("〇", "零")
#: CO₂.
below = rule("[₀-₉]", lambda found: digits(str(unicodedata.digit(found[0]))))
