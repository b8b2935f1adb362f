"""Dates, times, years and decades."""

from __future__ import annotations

import re

from antiphon.reading.english import words
from antiphon.reading.english.patterns import AFTER, BEFORE, DASH, MONTH, MONTH_OF, MONTHS, ends_sentence, month
from antiphon.reading.finding import rule

_HALF = r"(?P<half>[AaPp])\.?[Mm](?:\.|\b)"
_YEAR = r"(?:1[0-9]{3}|20[0-9]{2})"
_DAY = r"(?:0?[1-9]|[12][0-9]|3[01])"


def _date(day: int, number: int, year: str = "") -> str | None:
    if not 1 <= number <= 12 or not 1 <= day <= (29 if number == 2 else 30 if number in (4, 6, 9, 11) else 31):
        return None
    if len(year) == 2:
        year = f"{'20' if int(year) < 50 else '19'}{year}"
    return f"{MONTHS[number - 1]} {words.ordinal(day)}{f' {words.year(year)}' if year else ''}"


@rule(rf"{BEFORE}(?P<y>{_YEAR})(?P<by>[-/.])(?P<m>[0-9]{{1,2}})(?P=by)(?P<d>[0-9]{{1,2}}){AFTER}")
def year_first(match: re.Match[str]) -> str | None:
    """`2024-12-31`."""
    return _date(int(match["d"]), int(match["m"]), match["y"])


@rule(rf"{BEFORE}(?P<a>[0-9]{{1,2}})(?P<by>[-/])(?P<b>[0-9]{{1,2}})(?P=by)(?P<y>{_YEAR}|(?<=/)[0-9]{{2}}){AFTER}")
def month_first(match: re.Match[str]) -> str | None:
    """`3/14/2024`; the day first where the first cannot be a month."""
    first, second = int(match["a"]), int(match["b"])
    return _date(second, first, match["y"]) or _date(first, second, match["y"])


@rule(rf"{BEFORE}(?P<d>[0-9]{{1,2}})\.(?P<m>[0-9]{{1,2}})\.(?P<y>{_YEAR}){AFTER}")
def day_first(match: re.Match[str]) -> str | None:
    """`31.12.2024`."""
    return _date(int(match["d"]), int(match["m"]), match["y"])


@rule(rf"{BEFORE}(?P<m>0[1-9]|1[0-2])/(?P<y>(?:19|20)[0-9]{{2}}){AFTER}")
def month_of_year(match: re.Match[str]) -> str | None:
    """`12/2024`."""
    return f"{MONTHS[int(match['m']) - 1]} {words.year(match['y'])}"


@rule(
    r"\b(?:on|by|until|till|since|before|after|due|from|dated)\s+"
    rf"(?P<said>(?P<m>1[0-2]|0?[1-9])/(?P<d>{_DAY})){AFTER}(?!\s+(?:of|cup|mile|inch|full|empty|done)\b)",
    re.IGNORECASE,
)
def without_year(match: re.Match[str]) -> str | None:
    """`on 12/25`; elsewhere two numbers with a slash are a fraction, and so is what has a usual denominator."""
    if match["said"] in ("1/2", "1/3", "2/3", "1/4", "3/4", "1/5", "1/8"):
        return None
    return _date(int(match["d"]), int(match["m"]))


@rule(
    rf"\b(?P<month>{MONTH})\s+(?P<d>{_DAY})(?:st|nd|rd|th)?(?:\s?{DASH}\s?(?P<to>{_DAY})(?:st|nd|rd|th)?)?"
    rf"(?:(?P<comma>,?)\s+(?P<y>{_YEAR}))?(?![\w/:]|[.,\-][0-9])"
)
def named(match: re.Match[str]) -> str | None:
    """`March 14, 2024`, `Sept. 5`, `June 3-5`."""
    said = f"{month(match['month'])} {words.ordinal(int(match['d']))}"
    if match["to"]:
        said += f" to {words.ordinal(int(match['to']))}"
    return f"{said}{match['comma']} {words.year(match['y'])}" if match["y"] else said


@rule(
    rf"{BEFORE}(?P<d>{_DAY})(?:st|nd|rd|th)?(?:\s?{DASH}\s?(?P<to>{_DAY})(?:st|nd|rd|th)?)?"
    rf"\s+(?:of\s+)?(?P<month>{MONTH})(?:(?P<comma>,?)\s+(?P<y>{_YEAR}))?(?![\w/:]|[.,\-][0-9])"
)
def day_and_month(match: re.Match[str]) -> str | None:
    """`14 March 2024`, `the 4th of July`."""
    before = match.string[max(0, match.start() - 4) : match.start()].lower()
    said = words.ordinal(int(match["d"]))
    if match["to"]:
        said += f" to {words.ordinal(int(match['to']))}"
    said = f"{'' if before == 'the ' else 'the '}{said} of {month(match['month'])}"
    return f"{said}{match['comma']} {words.year(match['y'])}" if match["y"] else said


@rule(r"\b(?P<month>Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.(?=\s+(?:[a-z]|[0-9]))")
def month_alone(match: re.Match[str]) -> str | None:
    return month(match["month"])


# Times


def clock(hour: int, minute: int, half: str = "", alone: bool = True) -> str:
    """A time of day. On the hour, "o'clock" up to twelve, "hundred" after, unless a half of the day or a second time
    stands beside it (`alone`)."""
    if hour == 0 and not half and alone:
        return f"twelve {'oh ' if minute < 10 else ''}{words.cardinal(minute)} A M" if minute else "midnight"
    said = words.cardinal(hour)
    if minute:
        said += f" {'oh ' if minute < 10 else ''}{words.cardinal(minute)}"
    elif not half and alone:
        said += " hundred" if hour == 0 or hour > 12 else " o'clock"
    return f"{said} {half.upper()} M" if half else said


def _full_stop(match: re.Match[str]) -> str:
    return "." if match[0].endswith(".") and ends_sentence(match.string, match.end()) else ""


@rule(
    rf"{BEFORE}(?P<h>[01]?[0-9]|2[0-4])(?:[:.](?P<m>[0-5][0-9]))?\s?(?:(?P<first>[AaPp])\.?[Mm]\.?\s?)?{DASH}\s?"
    rf"(?P<h2>[01]?[0-9]|2[0-4])(?:[:.](?P<m2>[0-5][0-9]))?\s?{_HALF}(?!\w)"
)
def half_range(match: re.Match[str]) -> str | None:
    """`9-11 am`, `9:30 a.m. – 5 p.m.`."""
    start = clock(int(match["h"]), int(match["m"] or 0), match["first"] or "", alone=False)
    return f"{start} to {clock(int(match['h2']), int(match['m2'] or 0), match['half'])}{_full_stop(match)}"


@rule(
    rf"{BEFORE}(?P<h>[01]?[0-9]|2[0-4]):(?P<m>[0-5][0-9])\s?{DASH}\s?(?P<h2>[01]?[0-9]|2[0-4]):(?P<m2>[0-5][0-9])"
    r"(?![\w:]|\.[0-9])"
)
def clock_range(match: re.Match[str]) -> str | None:
    """`9:00-17:00`."""
    bare = match["m"] == match["m2"] == "00" and max(int(match["h"]), int(match["h2"])) <= 12
    start = clock(int(match["h"]), int(match["m"]), alone=not bare)
    return f"{start} to {clock(int(match['h2']), int(match['m2']), alone=not bare)}"


@rule(rf"{BEFORE}(?P<h>[01]?[0-9]|2[0-4])(?:[:.](?P<m>[0-5][0-9]))?(?::(?P<s>[0-5][0-9]))?\s?{_HALF}(?!\w)")
def half(match: re.Match[str]) -> str | None:
    """`9:05 a.m.`, `9:30PM`, `9 pm`."""
    said = clock(int(match["h"]), int(match["m"] or 0))
    if match["s"] and int(match["s"]):
        said = (
            f"{clock(int(match['h']), int(match['m'] or 0), alone=False)} and {words.cardinal(int(match['s']))} seconds"
        )
    elif not int(match["m"] or 0):
        said = words.cardinal(int(match["h"]))
    return f"{said} {match['half'].upper()} M{_full_stop(match)}"


@rule(rf"{BEFORE}(?P<h>[01]?[0-9]|2[0-4]):(?P<m>[0-5][0-9]):(?P<s>[0-5][0-9])(?![\w:]|[.,][0-9])")
def with_seconds(match: re.Match[str]) -> str | None:
    """`12:30:45`."""
    said = clock(int(match["h"]), int(match["m"]), alone=False)
    seconds = int(match["s"])
    return f"{said} and {words.cardinal(seconds)} second{'' if seconds == 1 else 's'}" if seconds else said


@rule(
    rf"{BEFORE}(?P<h>[01]?[0-9]|2[0-4]):(?P<m>[0-5][0-9])(?P<clock>\s+o['’]clock)?(?P<named>\s+(?:noon"
    rf"|midnight))?(?![\w:/]|[.,\-][0-9])"
)
def on_the_clock(match: re.Match[str]) -> str | None:
    """`12:00`, `22:15`. A verse (John 3:16) is read the same way."""
    return clock(int(match["h"]), int(match["m"]), alone=not match["named"]) + (match["named"] or "")


@rule(r"(?<![\w.])(?P<half>[ap])\.m\.")
def half_alone(match: re.Match[str]) -> str | None:
    return f"{match['half'].upper()} M{_full_stop(match)}"


# Years and decades

_COUNTED = re.compile(
    r"\s+(?!(?:was|is|has|as|his|its|this|thus|us|yes|sales|results|elections?|olympics|games|always|perhaps|"
    r"versus|christmas|besides|unless|across|afterwards?|towards|census|news)\b)"
    r"(?:[a-z]{2,}(?:[^s\W]s)\b|(?:people|men|women|children|fish|sheep|feet|percent|km|kg|mm|cm|ml|more|other|new)\b)"
)
_MONEY = re.compile(r"\s+(?:dollars|pounds|euros|francs|prices|yen|marks)\b")


@rule(
    rf"{BEFORE}(?:(?P<lead>\b(?:in|by|until|till|since|after|before|year|around|of)\s+))?(?P<said>(?:1[0-9]"
    rf"|2[0-2])[0-9]{{2}}){AFTER}",
    re.IGNORECASE,
)
def years(match: re.Match[str]) -> str | None:
    """`1998`, unless it counts something: `1500 horses` is not read as a year, "in 1998 pounds" is."""
    text = match.string
    if not "1100" <= match["said"] < "2100" and not match["lead"]:
        return None
    prices = (match["lead"] or "").strip().lower() == "in" and _MONEY.match(text, match.end())
    if _COUNTED.match(text, match.end()) and not prices:
        return None
    return words.year(match["said"])


@rule(rf"{BEFORE}(?P<a>(?:1[1-9]|20)[0-9]{{2}}){DASH}(?P<b>(?:1[1-9]|20)[0-9]{{2}}|[0-9]{{2}}){AFTER}")
def year_range(match: re.Match[str]) -> str | None:
    """`1939-1945`, `1914–18`."""
    start, end = match["a"], match["b"]
    if (len(end) == 2 and int(end) <= int(start[2:])) or (len(end) == 4 and int(end) <= int(start)):
        return None
    said = words.year(end) if len(end) == 4 else f"{'oh ' if end[0] == '0' else ''}{words.cardinal(int(end))}"
    return f"{words.year(start)} to {said}"


@rule(rf"(?<![\w.,])['’]?(?P<decade>(?:1[0-9]|20)[0-9]0)['’]?s(?P<more>{DASH}(?P<to>(?:1[0-9]|20)?[0-9]0)s)?\b")
def decades(match: re.Match[str]) -> str | None:
    """`1990s`, `1920s-30s`."""
    to = match["to"]
    said = words.decade(match["decade"])
    return f"{said} to {words.decade(to)}" if to else said


@rule(r"(?<![\w.,])(?P<a>[2-9]0)s (?P<by>and|or|to|through) (?P<b>[3-9]0)s\b")
def two_decades(match: re.Match[str]) -> str | None:
    """`30s and 40s`."""
    return f"{words.decade(match['a'])} {match['by']} {words.decade(match['b'])}"


@rule(
    r"(?<![\w.,])(?P<before>\b(?:the|early|late|mid|his|her|their|my|your|our|low|high|upper|lower|of)[ -])?"
    r"(?P<said>(?P<mark>['’])?(?P<decade>[2-9]0)['’]?s(?:-['’]?(?P<to>[3-9]0)s)?)\b"
)
def short_decades(match: re.Match[str]) -> str | None:
    """`the 80s`, `'80s`, `in her 30s`; elsewhere `30s` is thirty seconds."""
    styled = _STYLES.match(match.string, match.end())
    if match["before"] is None and match["mark"] is None and not styled:
        return None
    said = words.decade(match["decade"])
    return f"{said} to {words.decade(match['to'])}" if match["to"] else said


_STYLES = re.compile(
    r" (?:music|style|fashion|era|kids?|movies?|films?|songs?|pop|rock|hits|television|TV|cars?|nostalgia)\b"
)
_DAYS = {
    "Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday", "Thur": "Thursday",
    "Thurs": "Thursday", "Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday",
}  # fmt: skip
_ANY_DAY = r"(?:Mon|Tue(?:s)?|Wed(?:nes)?|Thu(?:r|rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?\.?"


@rule(rf"\b(?P<a>{_ANY_DAY}|{MONTH}) ?[-–—] ?(?P<b>{_ANY_DAY}|{MONTH})(?![\w-])")
def spans(match: re.Match[str]) -> str | None:
    """`Mon-Fri`, `January–March`."""
    return f"{_day_or_month(match['a'])} to {_day_or_month(match['b'])}"


def _day_or_month(written: str) -> str:
    name = written.rstrip(".")
    return _DAYS.get(name) or MONTH_OF.get(name.lower(), name)


@rule(r"\b(?P<day>Mon|Tues?|Thu|Thurs?|Fri)\.(?=[ ,])")
def days(match: re.Match[str]) -> str | None:
    """`Mon. and Fri.`"""
    return _DAYS[match["day"]]


@rule(
    rf"\b[A-Z][a-z]+ (?P<said>(?P<a>[0-9]{{1,3}}):(?P<b>[0-9]{{1,3}}){DASH}(?P<c>[0-9]{{1,3}}))(?![\w:/]|[.,\-][0-9])"
)
def verses(match: re.Match[str]) -> str | None:
    """`Matthew 5:3-12`."""
    return f"{words.whole(match['a'])} {words.whole(match['b'])} to {words.whole(match['c'])}"


@rule(
    r"\b(?:of|in|since|from|until|till|by|before|after|and|through)\s+(?P<said>['’](?P<year>[0-9]{2}))(?![\w'’]"
    r"|[.,][0-9])",
    re.IGNORECASE,
)
def short_year(match: re.Match[str]) -> str | None:
    """`the summer of '69`."""
    return words.cardinal(int(match["year"])) if match["year"][0] != "0" else f"oh {words.cardinal(int(match['year']))}"


RULES = (
    year_first,
    month_first,
    day_first,
    month_of_year,
    without_year,
    named,
    day_and_month,
    month_alone,
    half_range,
    clock_range,
    half,
    with_seconds,
    on_the_clock,
    half_alone,
    decades,
    two_decades,
    short_decades,
    spans,
    days,
    verses,
    short_year,
    year_range,
)
