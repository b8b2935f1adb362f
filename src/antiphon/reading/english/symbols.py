"""Symbols: signs between words and numbers, notes and languages with a sharp, marks that are silent."""

from __future__ import annotations

import re

from antiphon.reading.english import words
from antiphon.reading.english.patterns import NUMBER
from antiphon.reading.finding import rule

_MONEY_OR_NUMBER = r"(?=[$£€¥]?[0-9])"


@rule(r"(?<![\w#])(?P<letter>[A-G])(?P<sign>[#♯♭]|\+\+)(?![\w#+])")
def sharps(match: re.Match[str]) -> str | None:
    """`C#`, `F♯`, `B♭`, `C++`."""
    return f"{match['letter']} {({'#': 'sharp', '♯': 'sharp', '♭': 'flat'}).get(match['sign'], 'plus plus')}"


@rule(r"(?<![\w.])\.NET\b|(?<=[A-Z])\.NET\b")
def dot_net(match: re.Match[str]) -> str | None:
    """`.NET`, `ASP.NET`."""
    return " dot net" if match.start() and match.string[match.start() - 1].isalpha() else "dot net"


@rule(r"(?<![\w+])(?P<grade>[A-D])(?P<sign>[+\u2212])(?![\w+])")
def grades(match: re.Match[str]) -> str | None:
    """`an A+`."""
    return f"{match['grade']} {'plus' if match['sign'] == '+' else 'minus'}"


#: Signs between two words with a blank on both sides.
_BETWEEN = {
    "=": "equals", "==": "equals", "!=": "is not equal to", "≠": "is not equal to", ">": "is greater than",
    "<": "is less than", ">=": "is at least", "<=": "is at most", "≥": "is at least", "≤": "is at most",
    "+": "plus", "×": "times", "÷": "divided by", "≈": "is about", "±": "plus or minus", "→": "to", "=>": "to",
    "->": "to", "⇒": "to", "&": "and", "&&": "and", "\u2212": "minus", "∈": "is in", "∪": "union",
    "∩": "intersection", "⊂": "is a subset of", "@": "at",
}  # fmt: skip
_BETWEEN_PATTERN = "|".join(re.escape(each) for each in sorted(_BETWEEN, key=len, reverse=True))


@rule(rf"(?<=[\w)\]'’\".%] )(?P<said>{_BETWEEN_PATTERN})(?= [\w(\[$£€'\"‘“\-+.])")
def between(match: re.Match[str]) -> str | None:
    """`a > b`, `Tom & Jerry`."""
    return _BETWEEN[match["said"]]


_TERM = rf"(?:{NUMBER}%?|[A-Za-z])"


@rule(
    rf"(?<![\w.=<>!\-+*/$#@&(\[])(?P<a>{_TERM})(?P<sign>==|!=|<=|>=|[=≠≥≤≈<>±→])(?P<minus>-)?(?P<b>{_TERM})"
    r"(?![\w=<>(\[/]|[.,]\w)"
)
def joined(match: re.Match[str]) -> str | None:
    """`x=5`, `n≥3`: between single letters and numbers only; what is longer is code."""
    a, b = (side if side.isalpha() else _number(side) for side in (match["a"], match["b"]))
    return f"{a} {_BETWEEN[match['sign']]} {'minus ' if match['minus'] else ''}{b}"


@rule(r"(?:(?<=\^[0-9])|(?<=[²³]))(?P<said>[-+=])(?=[A-Za-z0-9])")
def behind_powers(match: re.Match[str]) -> str | None:
    """`a^2+b^2=c^2`."""
    return {"+": " plus ", "-": " minus ", "=": " equals "}[match["said"]]


def _number(written: str) -> str:
    return f"{words.number(written.rstrip('%'))}{' percent' if written[-1] == '%' else ''}"


@rule(rf"(?<![\w<>=\-])(?P<sign>>=|<=|[><≥≤~≈±]) ?{_MONEY_OR_NUMBER}(?![0-9.,]*>)")
def bounds(match: re.Match[str]) -> str | None:
    """`>5 people`, `≥ 18`, `~50`."""
    said = {">": "more than", "<": "less than", ">=": "at least", "<=": "at most", "≥": "at least", "≤": "at most",
            "~": "about",
            "≈": "about", "±": "plus or minus"}  # fmt: skip
    return f"{said[match['sign']]} "


@rule(r"(?<=\w)(?P<said>&)(?=\w)")
def ampersand(match: re.Match[str]) -> str | None:
    """`R&D`, `AT&T`."""
    return " and "


@rule(r"(?<![\w])(?P<sign>§§?|¶) ?(?=[0-9])")
def sections(match: re.Match[str]) -> str | None:
    return {"§": "section ", "§§": "sections ", "¶": "paragraph "}[match["sign"]]


_SILENT = "™®©℠†‡•◦▪‣·"


@rule(r"(?<=\S)[™®℠†‡](?!\w)|(?<![^\s]) ?[†‡•◦▪‣] ")
def silent(match: re.Match[str]) -> str | None:
    return " " if match[0][0] == " " and match.start() else ""


@rule(r"(?<!\w)©(?= ?[0-9A-Z])(?P<blank> ?)|\([cC]\)(?= ?[12][0-9]{3})(?P<blank2> ?)")
def copyright_(match: re.Match[str]) -> str | None:
    return "copyright "


@rule(r"√(?P<of>[0-9]{1,9}|[a-z]\b)?")
def roots(match: re.Match[str]) -> str | None:
    of = match["of"] or ""
    return f"the square root of {words.whole(of) if of.isdigit() else of}".rstrip() + ("" if of else " ")


@rule(r"(?<!\w)(?P<sign>[∞π∑∫∆Δµ])(?!\w)")
def letters(match: re.Match[str]) -> str | None:
    return {
        "∞": "infinity",
        "π": "pi",
        "∑": "the sum of",
        "∫": "the integral of",
        "∆": "delta",
        "Δ": "delta",
        "µ": "mu",
    }[match["sign"]]


#: Marks of notes: digits above the line close behind a word or the end of a sentence.
@rule(r"(?:(?<=[a-z]{3})|(?<=[a-z\d”’'\")][.,;!?”])|(?<=[.,;!?][\"”’]))(?P<said>[¹²³⁴-⁹⁰]{1,3})(?!\w)")
def notes(match: re.Match[str]) -> str | None:
    return ""


_BELOW = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


@rule(r"(?<=[A-Za-z)])(?P<said>[₀-₉]{1,3})(?P<more>[A-Z])?")
def below(match: re.Match[str]) -> str | None:
    """`H₂O`."""
    return f" {words.whole(match['said'].translate(_BELOW))}{' ' if match['more'] else ''}"


@rule(
    r"(?<![\w.#])(?P<what>[vV])(?P<number>[0-9]{1,4}(?:\.[0-9]{1,4}){1,3})(?![\w/\-]|\.\w)|(?P<word>\b(?:[Vv]ersion|[Ss]ection"
    r"|[Cc]hapter|[Ff]igure|[Cc]lause"
    r"|[Rr]elease|Python|macOS|iOS|Android|CUDA)) "
    r"(?P<plain>[0-9]{1,4}(?:\.[0-9]{1,4}){2,3})(?![\w/\-]|\.\w)"
)
def versions(match: re.Match[str]) -> str | None:
    """`v2.0.1`."""
    numbers = " point ".join(words.whole(part) for part in (match["number"] or match["plain"]).split("."))
    return f"{match['what'] or match['word']} {numbers}"


RULES = (
    sharps, dot_net, grades, versions, joined, behind_powers, between, bounds, ampersand, sections, silent, copyright_,
    roots, letters, notes, below,
)  # fmt: skip
