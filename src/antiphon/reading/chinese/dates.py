"""Dates: dates, years, decades, times of the day, durations."""

from __future__ import annotations

import re

from antiphon.reading.chinese.numbers import digits, number
from antiphon.reading.chinese.rule import rule
from antiphon.reading.chinese.words import BIG, MEASURE, TO
from antiphon.reading.said import Rule

_YEAR = r"(?:1[0-9]|20)\d\d"
_MONTH, _DAY = "(?:1[0-2]|0?[1-9])", r"(?:3[01]|[12]\d|0?[1-9])"
_CLOCK = r"(?<!\d)(?<!\d[.:：])(?P<h>[01]?\d|2[0-4])[:：](?P<m>[0-5]\d)(?:[:：](?P<s>[0-5]\d)(?:\.\d+)?)?(?![\d:：])"
_NOON = {"a": "上午", "p": "下午"}
#: Words that make of 12:30 a length of time.
_LASTING = "用时|耗时|历时|时长|时间为|成绩|计时|倒计时|全长|总长|片长|配速|净时间|持续"


def _date(found: re.Match[str]) -> str:
    day = f"{number(found['d'].lstrip('0'))}日" if found["d"] else ""
    return f"{digits(found['y'])}年{number(found['m'].lstrip('0'))}月{day}"


def _clock(found: re.Match[str]) -> str:
    hour, minute, second = found["h"], found["m"], found["s"]
    noon = _NOON.get((found["half"] or " ").strip()[:1].lower(), "")
    said = f"{noon}{_hour(hour)}点"
    if minute != "00" or second not in (None, "00"):
        said += f"{_padded(minute)}分"
    return said + (f"{_padded(second)}秒" if second and (minute, second) != ("00", "00") else "")


def _lasting(found: re.Match[str]) -> str:
    parts = [part for part in (found["h"], found["m"], found["s"]) if part]
    units = ("小时", "分", "秒")[-len(parts) :] if len(parts) == 3 else ("分", "秒")
    return "".join(
        number(str(int(part))) + unit if int(part) != 2 or unit != "小时" else "两小时"
        for part, unit in zip(parts, units, strict=True)
    )


def _hour(text: str) -> str:
    return "两" if int(text) == 2 and len(text) == 1 else number(str(int(text)))


def _padded(text: str) -> str:
    return "零" + digits(text[1]) if text[0] == "0" and text != "00" else number(str(int(text)))


def _years(found: re.Match[str]) -> str | None:
    """A span of years that stands without 年: 1949-2019."""
    first, last = found["a"], found["b"]
    return f"{digits(first)}到{digits(last)}" if first < last and (first[2:] != "00" or last[2:] != "00") else None


def _year(found: re.Match[str]) -> str | None:
    year, after = found[0], found.string[found.end() + 1 : found.end() + 3]
    long_ago = year[2:] == "00" and re.match("[前间来]|以[前来]|历史|的[历文]|之前|时间|不", after)
    return digits(year) if re.fullmatch(_YEAR, year) and year != "1000" and not long_ago else None


def _leading(found: re.Match[str]) -> str:
    """05分 after 3点, 03月: the zero is said for minutes and seconds only."""
    return ("零" if found["unit"] in "分秒" else "") + number(found["said"].lstrip("0") or "0")


day: Rule = rule(
    rf"(?<![\d.])(?P<y>{_YEAR})([-/.])(?P<m>{_MONTH})\2(?P<d>{_DAY})(?!\d|-(?!\d{{4}}[-/.])|\.\d)日?", _date
)
#: 2026-08, 2026/11: with two digits of a month, and not the season of 2008-09.
month = rule(
    rf"(?<![\d.-])(?P<y>{_YEAR})[-/](?P<m>0[1-9]|1[0-2])(?P<d>)(?![\d年元-]|\.\d|[个]|赛季|学年|财年)月?", _date
)
season = rule(
    rf"(?<!\d)(?P<a>{_YEAR})[-/~—](?P<b>\d\d|\d{{4}})(?=赛季|学年|财年|年度)",
    lambda f: f"{digits(f['a'])}到{digits(f['b'])}",
)
years = rule(rf"(?<![\d.,¥$€£-])(?P<a>{_YEAR}){TO}(?P<b>{_YEAR})(?![\d.,%-]|{BIG}|{MEASURE}|年|[a-zA-Z]|日元)", _years)
#: The first year of 2008-2012年, 2008年 and 2012年.
first_year = rule(
    rf"(?<![\d.,]){_YEAR}(?=(?:{TO}|[、和与及至到])(?:{_YEAR}[、]){{0,9}}{_YEAR}年)", lambda f: digits(f[0])
)
year = rule(r"(?<![\d.,])\d{4}(?=年(?![级級]))", _year)
#: 2003级学生, 2026版.
class_of = rule(r"(?<![\d.,])(?:19|20)\d\d(?=[级級](?!地震|台风)|届|屆|版|款)", lambda f: digits(f[0]))
ancient = rule(
    r"(?:公元前?|西元前?|前)(?P<said>\d{2,3})(?=年)", lambda f: digits(f["said"]) if len(f["said"]) == 3 else None
)
#: 98年, 08年; 50年 is a length of time.
short_year = rule(
    r"(?<![\d.,])(?:0\d|[89]\d)(?=年(?![代来前后内间多以之的历]))|(?<=[于在])(?<!\d)[5-9]\d(?=年(?![代内前后间]))"
    r"|(?<![\d.,])\d\d(?=年(?:出生|毕业|入学|生人|的?款|春|夏|秋|冬|\d{1,2}月))",
    lambda f: digits(f[0]),
)
#: 90后, 00后.
generation = rule(
    r"(?<![\d.,])(?:(?:19)?[5-9][05]|(?:20)?[012][05])(?=[后後](?![面来天勤续退]))", lambda f: digits(f[0])
)
lasting = rule(rf"(?:{_LASTING})[是为：:约了仅需]{{0,2}}[ ]?(?P<said>{_CLOCK})", _lasting)
clock = rule(rf"{_CLOCK}(?P<half>[ ]?(?:[AaPp]\.?[Mm](?![A-Za-z])\.?))?", _clock)
leading = rule(r"(?<![\d.])(?P<said>0\d)(?=(?P<unit>[月日分秒时点])(?!\d))", _leading)
half = rule(
    r"(?<![\d.])(?P<h>1?\d)[ ]?(?P<half>[AaPp])\.?[Mm](?![A-Za-z])\.?",
    lambda f: f"{_NOON[f['half'].lower()]}{_hour(f['h'])}点",
)
#: 5'30".
pace = rule(r"(?<![\d.])(\d{1,3})['′](\d{1,2})(?:\"|″|'')", lambda f: f"{number(f[1])}分{_padded(f[2])}秒")

_DAYS = (day, season, month, years, first_year, year, class_of, ancient, short_year, generation)
RULES = (*_DAYS, lasting, clock, leading, half, pace)
