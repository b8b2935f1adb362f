"""Numerals: ordinals, fractions, ranges, scores, ratios, sums, and plain numbers."""

from __future__ import annotations

import re

from antiphon.reading.english import words
from antiphon.reading.english.patterns import AFTER, BEFORE, NUMBER, SIGN
from antiphon.reading.finding import rule


@rule(
    r"(?<![\w.,/\-])(?P<number>[0-9]{1,3}(?:,[0-9]{3})++|[0-9]{1,12}) ?(?:st|nd|rd|th|ᵗʰ|ˢᵗ)(?![\w'’]|-\w*[0-9])",
    re.IGNORECASE,
)
def ordinals(match: re.Match[str]) -> str | None:
    """`21st`."""
    return words.ordinal(int(match["number"].replace(",", ""))) if match[0][-3] != " " else None


# Fractions

_GLYPHS = {
    "½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅕": (1, 5), "⅖": (2, 5), "⅗": (3, 5), "⅘": (4, 5),
    "⅙": (1, 6), "⅚": (5, 6), "⅐": (1, 7), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8), "⅞": (7, 8), "⅑": (1, 9),
    "⅒": (1, 10),
}  # fmt: skip
_WITHOUT_ONE = {"half": "a half", "quarter": "a quarter", "third": "a third"}


def fraction(over: int, under: int) -> str:
    """`3/4` is three quarters."""
    name = {2: "half", 4: "quarter"}.get(under) or words.ordinal(under)
    many = "halves" if under == 2 else words.plural(name)
    return f"{words.cardinal(over)} {name if over == 1 else many}"


def _mixed(whole: str, over: int, under: int) -> str:
    said = fraction(over, under)
    if over == 1:
        said = _WITHOUT_ONE.get(said.removeprefix("one "), said)
    return f"{words.number(whole)} and {said}"


@rule(rf"(?<![\w.,])(?P<whole>[0-9]{{1,6}})?\s?(?P<glyph>[{''.join(_GLYPHS)}])(?![\w]|[-–][0-9½])")
def glyphs(match: re.Match[str]) -> str | None:
    """`½`, `2½`."""
    over, under = _GLYPHS[match["glyph"]]
    blank = " " if not match["whole"] and match[0][0] == " " else ""
    return _mixed(match["whole"], over, under) if match["whole"] else blank + fraction(over, under)


_RATED = re.compile(
    r"\b(?:rat(?:e|ed|ing)|scor(?:e|ed)|gave|give|get|got|solid|marks?|grade|review)\b[^.!?]{0,30}$", re.IGNORECASE
)
_DENOMINATORS = frozenset({*range(2, 21), 25, 32, 50, 64, 100, 1000})
#: Pairs with a meaning of their own: both numbers are said, nothing between them.
_PAIRS = {"24/7": "twenty four seven", "9/11": "nine eleven", "7/11": "seven eleven", "20/20": "twenty twenty"}


@rule(rf"{BEFORE}(?P<over>[0-9]{{1,2}})/(?P<under>2|4|8|16)(?=\s+(?:time|beat|meter|metre|signature)\b)")
def time_signature(match: re.Match[str]) -> str | None:
    """`3/4 time`."""
    return f"{words.whole(match['over'])} {words.whole(match['under'])}"


@rule(
    rf"{BEFORE}(?:(?P<whole>[0-9]{{1,4}})[ -])?(?P<over>[0-9]{{1,4}})(?:/|⁄)(?P<under>[0-9]{{1,4}})(?![\w/\\@=^*]"
    rf"|[.,\-:][0-9])"
)
def fractions(match: re.Match[str]) -> str | None:
    """`3/4`, `1 1/2`; `8/10` of a rating; `120/80`."""
    over, under, pair = int(match["over"]), int(match["under"]), f"{match['over']}/{match['under']}"
    if match["over"][0] == "0" or match["under"][0] == "0":
        return None
    if over + under == 100 and over >= under and not match["whole"]:
        return f"{words.cardinal(over)} {words.cardinal(under)}"
    if pair in _PAIRS and not match["whole"]:
        return _PAIRS[pair]
    before = match.string[max(0, match.start() - 50) : match.start()]
    if under in (5, 10, 20, 100) and over <= under and not match["whole"] and (over == under or _RATED.search(before)):
        return f"{words.cardinal(over)} out of {words.cardinal(under)}"
    if over < under and under in _DENOMINATORS:
        return _mixed(match["whole"], over, under) if match["whole"] else fraction(over, under)
    whole = f"{words.whole(match['whole'])} " if match["whole"] else ""
    return f"{whole}{words.cardinal(over)} over {words.cardinal(under)}"


# Sums

_OPERATORS = {
    "+": "plus", "-": "minus", "\u2212": "minus", "–": "minus", "×": "times", "x": "times", "*": "times", "·": "times",
    "÷": "divided by", "/": "divided by", "=": "equals", "≈": "is about", "±": "plus or minus", "≠": "is not equal to",
    ">": "is greater than", "<": "is less than", "≥": "is at least", "≤": "is at most",
    ">=": "is at least", "<=": "is at most", "!=": "is not equal to", "==": "equals",
}  # fmt: skip
_OPERATOR = r"(?:[<>!=]=|[-+\u2212–×x*·÷/=≈±≠<>≥≤])"
_SPACED = r"(?:[<>!=]=|[-+\u2212×x*·÷=≈±≠<>≥≤])"
_TERM = rf"(?:{SIGN}{NUMBER}%?)"
_SPLIT = re.compile(rf"(?<=[0-9%])(\s*)({_OPERATOR})\s*(?=[-\u2212+]?[0-9])")


def _sum(written: str) -> str:
    parts = _SPLIT.split(written)
    said = [_term(parts[0])]
    for operator, term in zip(parts[2::3], parts[3::3], strict=True):
        said += _OPERATORS[operator], _term(term)
    return " ".join(said)


def _term(written: str) -> str:
    written = written.strip()
    return f"{words.number(written[:-1])} percent" if written.endswith("%") else words.number(written)


@rule(rf"{BEFORE}{SIGN}{NUMBER}%?(?:\s?{_OPERATOR}\s?[-\u2212]?{NUMBER}%?){{1,40}}+(?![\w/^]|[.,][0-9])")
def equations(match: re.Match[str]) -> str | None:
    """`5-3=2`, `2 + 2 = 4`: with a sign of comparison every sign between numbers is one of a sum."""
    return _sum(match[0]) if re.search(r"[=≈≠<>≥≤]", match[0]) else None


@rule(rf"{BEFORE}{SIGN}{NUMBER}%?(?:(?: {_SPACED} |[+×÷±])[-\u2212]?{NUMBER}%?){{1,40}}+(?![\w/^=]|[.,\-–][0-9])")
def sums(match: re.Match[str]) -> str | None:
    """`5 - 3`, `2 * 3 * 4`: signs between blanks, or signs that are nothing else."""
    return _sum(match[0])


# Ranges, scores, ratios

_SCORED = re.compile(
    r"\b(?:w[io]n|wins|won|winning|los[es]|lost|losing|beat|beats|beaten|defeat(?:ed)?|victory|loss|scores?|scored"
    r"|leads?|led|tied?|"
    r"drew|draw|ahead|trail(?:ed|ing)?|final|up|down|result|match|game|vote[ds]?|voted|ruled|decision|record"
    r"|went)\b[^.!?\n]{0,40}$",
    re.IGNORECASE,
)


#: A score of chess stands for itself, unless a team won by it.
_CHESS = re.compile(r"[01][-–][01]$")
_PLAYED = re.compile(
    r"\b(?:w[io]n|wins|winning|los[et]|lost|beat|beats|beaten|defeat(?:ed)?|leads?|led|tied?|drew|scored?"
    r"|goals?)\b[^.!?\n]{0,40}$",
    re.IGNORECASE,
)


@rule(rf"{BEFORE}(?P<a>[0-9]{{1,3}})[-–](?P<b>[0-9]{{1,3}})(?![\w/\\@=^*%°$€£¥]|[.,:\-–−+][\w])")
def scores(match: re.Match[str]) -> str | None:
    """`They won 3-2`: both numbers, with nothing between them."""
    before = match.string[max(0, match.start() - 60) : match.start()]
    scored = _PLAYED if _CHESS.match(match[0]) else _SCORED
    if not scored.search(before) or match["a"][0] == "0" != match["a"]:
        return None
    return f"{words.whole(match['a'])} to {words.whole(match['b'])}"


@rule(rf"{BEFORE}(?P<a>{NUMBER})(?:\s?[–—‒~]\s?|[-‐‑])(?P<b>{NUMBER})(?P<plus>\+)?(?![\w/\\@=^*$€£¥]|[.,:\-–−][\w])")
def ranges(match: re.Match[str]) -> str | None:
    """`pages 10-20`."""
    start, end = match["a"], match["b"]
    if (start, end) == ("24", "7"):
        return "twenty four seven"
    if _CHESS.match(match[0]) or _is_model(start, end):
        return None
    if (start[0] == "0" and "." not in start and len(start) > 1) or (end[0] == "0" and "." not in end and len(end) > 1):
        return None
    return f"{_count(start)} to {_count(end)}{' plus' if match['plus'] else ''}"


def _is_model(start: str, end: str) -> bool:
    """Whether large numbers fall, as in `747-400`: the name of a machine, not a range."""
    first, second = float(start.replace(",", "")[:30]), float(end.replace(",", "")[:30])
    return first > second and first > 200


@rule(rf"{BEFORE}(?P<parts>[0-9]{{1,2}}(?:-[0-9]{{1,2}}){{2,4}}){AFTER}")
def rows(match: re.Match[str]) -> str | None:
    """`as easy as 1-2-3`, `a 4-3-3 formation`."""
    return " ".join(words.whole(part) for part in match["parts"].split("-"))


@rule(rf"{BEFORE}(?P<a>[0-9]{{1,2}})-(?P<word>on|to|for|by)-(?P<b>[0-9]{{1,2}}){AFTER}")
def pairs(match: re.Match[str]) -> str | None:
    """`1-on-1`."""
    return f"{words.whole(match['a'])} {match['word']} {words.whole(match['b'])}"


@rule(rf"{BEFORE}(?P<a>[0-9]{{1,4}}):(?P<b>[0-9]{{1,4}})(?![\w:/]|[.,\-][0-9])")
def ratios(match: re.Match[str]) -> str | None:
    """`3:1`, `16:9`."""
    return f"{words.whole(match['a'])} to {words.whole(match['b'])}"


def _count(written: str) -> str:
    return words.number(written)


# Plain numbers


@rule(
    rf"{BEFORE}(?P<sign>{SIGN})(?P<number>{NUMBER}|(?<![\w.])\.[0-9]++)(?P<plus>\+(?!\w))?(?![\w/\\@=^*$€£¥]"
    rf"|[.,:–−+][\w]|-(?![a-z]{{2}}|\s|$))"
)
def plain(match: re.Match[str]) -> str | None:
    """`1,000,000`, `3.14`, `-5`, `20-year-old`."""
    return words.number(match["sign"] + match["number"]) + (" plus" if match["plus"] else "")


@rule(
    rf"{BEFORE}(?P<number>{NUMBER})(?P<scale>[KM]|[kmB](?= (?:people|users|views|followers|subscribers|downloads"
    rf"|times|jobs|years|readers|copies|words|lines)\b))(?!\w)"
)
def shortened(match: re.Match[str]) -> str | None:
    """`10K`, `5m people`."""
    if match["scale"] == "K" and len(match["number"]) == 1:
        return f"{words.number(match['number'])} K"
    scale = {"k": "thousand", "m": "million", "b": "billion"}[match["scale"].lower()]
    return f"{words.number(match['number'])} {scale}"


EARLY = (ordinals, glyphs, time_signature, equations)
RULES = (fractions, sums, scores, rows, pairs, ranges, ratios, shortened)
LATE = (plain,)
