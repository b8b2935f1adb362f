"""Telephone: numbers that are read digit by digit: telephones, cards, codes, postcodes."""

from __future__ import annotations

import re

from antiphon.reading.english import words
from antiphon.reading.english.patterns import ends_sentence
from antiphon.reading.finding import rule

_BEFORE = r"(?<![\w.,:/\\#@=^*$€£¥\-–+()])"
_AFTER = r"(?![\w/\\@=^*%°$€£¥]|[.,:\-–+][\w])"
_BY = r"[-.\u2010\u2011\u2013 ]"


def _groups(written: str) -> str:
    """Group by group, with the pause of a comma between them. `800` as the first of a free call is eight hundred."""
    found = re.findall(r"[0-9]+", written)
    said = []
    for at, group in enumerate(found):
        free = group in ("800", "900") and len(found) > 2 and at < 2
        said.append(f"{words.cardinal(int(group[0]))} hundred" if free else words.digits(group, "oh"))
    country = "plus " if written.lstrip(" (")[:1] == "+" else ""
    return country + ", ".join(said)


def _extension(match: re.Match[str]) -> str:
    extension = match["extension"]
    return f", extension {words.digits(extension, 'oh')}" if extension else ""


_EXTENSION = r"(?:,?\s*(?:ext\.?|x|extension)\s?(?P<extension>[0-9]{1,6}))?"


@rule(
    rf"{_BEFORE}(?:\+?1{_BY})?(?:\([0-9]{{3}}\)\s?"
    rf"|[0-9]{{3}}{_BY})[0-9]{{3}}{_BY}[0-9]{{4}}{_EXTENSION}{_AFTER}"
)
def american(match: re.Match[str]) -> str | None:
    """`(212) 555-0199`, `1-800-555-0199`."""
    number = match[0][: match.start("extension") - match.start()] if match["extension"] else match[0]
    return _groups(re.sub(r"(?i)[,\s]*(?:ext\.?|x|extension)\s?$", "", number)) + _extension(match)


@rule(rf"{_BEFORE}\+[0-9]{{1,3}}(?:{_BY}?\(?[0-9]{{1,5}}\)?){{1,6}}+{_EXTENSION}{_AFTER}")
def abroad(match: re.Match[str]) -> str | None:
    """`+44 20 7946 0958`."""
    number = match[0][: match.start("extension") - match.start()] if match["extension"] else match[0]
    if sum(ch.isdigit() for ch in number) < 7:
        return None
    return _groups(number) + _extension(match)


@rule(rf"{_BEFORE}\(?0[0-9]{{2,4}}\)?(?:{_BY}[0-9]{{3,4}}){{1,3}}{_AFTER}")
def with_trunk(match: re.Match[str]) -> str | None:
    """`020 7946 0958`, `0800 123 456`: a number that begins with 0 counts nothing."""
    return _groups(match[0])


_COUNTS = re.compile(
    r"\s+(?:people|men|women|children|pages|words|years|days|miles|points|percent|items|copies|units|users|degrees"
    r"|BC|AD)\b",
    re.IGNORECASE,
)
_RANGES = re.compile(
    r"\b(?:pages?|pp\.?|from|between|years?|about|around|of|in|lines?|ages?|nos?\.?|for|approximately)\s+$",
    re.IGNORECASE,
)


@rule(rf"{_BEFORE}(?P<a>[2-9][0-9]{{2}})-(?P<b>[0-9]{{4}}){_AFTER}")
def local(match: re.Match[str]) -> str | None:
    """`555-0199`; `500-1000 people` is a range."""
    text = match.string
    if match["b"][0] != "0":
        rounded = match["a"].endswith("0") and match["b"].endswith("0")
        ranged = _RANGES.search(text[max(0, match.start() - 16) : match.start()])
        if rounded or ranged or _COUNTS.match(text, match.end()):
            return None
    return _groups(match[0])


@rule(rf"{_BEFORE}1-(?P<a>8[0-9]{{2}}|900)-(?P<word>[A-Z]{{2,}}(?:-[A-Z]+)*)\b")
def spelled(match: re.Match[str]) -> str | None:
    """`1-800-FLOWERS`."""
    free = f"{words.cardinal(int(match['a'][0]))} hundred" if match["a"][1:] == "00" else words.digits(match["a"])
    return f"one, {free}, {match['word'].replace('-', ' ').lower()}"


@rule(
    r"\b(?:call|dial|phone|telephone|tel|ring|fax|mobile|cell|text|hotline|at)[.:]?(?:\s+(?:us|me|him|her|them"
    r"|now))?(?:\s+(?:on|at))?:?\s+"
    rf"(?P<said>[0-9]{{3}}|[0-9]{{5,15}}|1[0-9]{{2}}(?:[- ][0-9]{{3}}){{1,2}}){_AFTER}(?!\s+(?:people|times|friends"
    rf"|of|more)\b)",
    re.IGNORECASE,
)
def dialled(match: re.Match[str]) -> str | None:
    """`call 911`, `tel. 2125550199`."""
    said = match["said"]
    lead = match[0].lower()
    if (lead.startswith("at") and len(said) < 7) or (
        len(said) == 3
        and not re.match(
            r"call|dial|phone|ring"
            r"|text",
            lead,
        )
    ):
        return None
    return ", ".join(words.digits(part, "oh") for part in _cut(said))


def _cut(number: str) -> list[str]:
    if len(number) == 10 and number.isdigit():
        return [number[:3], number[3:6], number[6:]]
    return re.findall(r"[0-9]+", number)


@rule(
    r"\b(?:code|pin|p\.?i\.?n\.?|otp|password|passcode|passkey|zip|postcode|area code|id|account(?: number| no\.?)?"
    r"|card(?: number)?|isbn|issn|ssn|serial(?: number)?|"
    r"order(?: number| no\.?)?|invoice(?: number| no\.?)?|ticket(?: number| no\.?)?|tracking number|reference|ref\.?"
    r"|extension|ext\.?)"
    rf"(?:\s+(?:is|number|no\.?|code))?\s*[:#]?\s*(?P<said>#?[0-9]{{3,}}+(?:[- ][0-9]{{1,}}+)*+(?:-?[Xx]\b)?){_AFTER}",
    re.IGNORECASE,
)
def codes(match: re.Match[str]) -> str | None:
    """`PIN 4821`, `ZIP code 90210`, `ISBN 978-0-306-40615-7`."""
    said, end = match["said"], " X" if match["said"][-1] in "Xx" else ""
    return ", ".join(words.digits(part, "oh") for part in re.findall(r"[0-9]+", said)) + end


@rule(rf"{_BEFORE}(?:[0-9]{{4}}[- ]){{3}}[0-9]{{4}}{_AFTER}|{_BEFORE}[0-9]{{3}}-[0-9]{{2}}-[0-9]{{4}}{_AFTER}")
def cards(match: re.Match[str]) -> str | None:
    """`4111 1111 1111 1111`, `123-45-6789`."""
    return _groups(match[0])


@rule(rf"\b[A-Z]{{2}}\s+(?P<said>[0-9]{{5}}(?:-[0-9]{{4}})?){_AFTER}")
def postcodes(match: re.Match[str]) -> str | None:
    """`Beverly Hills, CA 90210`."""
    return ", ".join(words.digits(part, "oh") for part in match["said"].split("-"))


@rule(rf"{_BEFORE}0[0-9]{{1,}}+{_AFTER}")
def leading_zero(match: re.Match[str]) -> str | None:
    """`007`."""
    return words.digits(match[0], "oh")


@rule(r"(?<![\w#&/])#(?P<number>[0-9]{1,12})(?![\w]|[.,\-][0-9])")
def hash_number(match: re.Match[str]) -> str | None:
    """`#1`."""
    number = match["number"]
    return f"number {words.digits(number, 'oh') if len(number) > 4 else words.whole(number)}"


@rule(r"\b(?P<word>No|Nos|no|nos|Nr)\.\s?(?=[0-9]{1,6}\b(?![.:][0-9]))|(?P<sign>№)\s?(?=[0-9])")
def number_signs(match: re.Match[str]) -> str | None:
    """`No. 5`; "No. 5 people came" stays a sentence of its own only where a lower-case word follows the number."""
    if match["sign"]:
        return "number "
    word = match["word"]
    if word in ("no", "nos", "No") and re.match(
        r"[0-9]+ (?:people|more|of|men|women|were|are|years|days|times)\b", match.string[match.end() :][:24]
    ):
        return None
    return (
        ("Numbers " if word[0] == "N" else "numbers ")
        if word in ("Nos", "nos")
        else ("Number " if ends_before(match) else "number ")
    )


def ends_before(match: re.Match[str]) -> bool:
    return match.start() == 0 and ends_sentence(match.string, 0)


RULES = (american, abroad, cards, codes, postcodes, with_trunk, local, spelled, dialled, hash_number, number_signs)
LATE = (leading_zero,)
