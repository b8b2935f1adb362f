"""Abbreviations: titles, streets, Latin, acronyms."""

from __future__ import annotations

import re

from antiphon.reading.english import words
from antiphon.reading.english.patterns import ends_sentence, stop
from antiphon.reading.finding import rule

# Titles, streets

_TITLES = {
    "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Prof": "Professor", "Gen": "General", "Lt": "Lieutenant",
    "Col": "Colonel", "Sgt": "Sergeant", "Capt": "Captain", "Cpl": "Corporal", "Maj": "Major", "Cmdr": "Commander",
    "Adm": "Admiral", "Rev": "Reverend", "Hon": "Honorable", "Gov": "Governor", "Sen": "Senator",
    "Rep": "Representative",
    "Pres": "President", "Supt": "Superintendent", "Insp": "Inspector", "Msgr": "Monsignor", "Pvt": "Private",
    "Mt": "Mount", "Ft": "Fort", "Messrs": "Messieurs",
}  # fmt: skip
#: Titles that every engine says itself, and that are left to it: their words differ between dialects.
_LEFT = frozenset({"Mr", "Mrs", "Ms"})


@rule(rf"(?<![\w.])(?P<said>(?P<title>{'|'.join(_TITLES)})\.)(?=\s(?:[A-Z]|\w+\.\s[A-Z]))")
def titles(match: re.Match[str]) -> str | None:
    """`Gen. Grant`, `Mt. Everest`."""
    title = match["title"]
    return None if title in _LEFT else _TITLES[title]


_STREETS = {
    "Ave": "Avenue", "Av": "Avenue", "Rd": "Road", "Blvd": "Boulevard", "Ln": "Lane", "Hwy": "Highway",
    "Pkwy": "Parkway",
    "Sq": "Square", "Pl": "Place", "Ct": "Court", "Ter": "Terrace", "Cres": "Crescent", "Expy": "Expressway",
    "Rte": "Route",
    "Apt": "Apartment",
}  # fmt: skip


@rule(rf"(?<=[A-Za-z0-9.] )(?P<said>(?P<street>{'|'.join(_STREETS)})(?P<stop>\.)?)(?![\w'’.-])")
def streets(match: re.Match[str]) -> str | None:
    """`5th Ave.`, `Abbey Rd`: behind a name that begins with a capital, or a number."""
    before = match.string[max(0, match.start("said") - 40) : match.start("said")].split()
    if not before or (not (before[-1][0].isupper() or before[-1][0].isdigit()) and match["street"] != "Apt"):
        return None
    if not match["stop"] and (match["street"] in ("Ct", "Pl", "Sq", "Av", "Ter") or not _numbered(before)):
        return None
    return _STREETS[match["street"]] + stop(match.string, match.end())


def _numbered(before: list[str]) -> bool:
    """Whether a number stands before the words with capitals: `12 Old Elm`."""
    for word in reversed(before[-4:]):
        if word[0].isdigit():
            return True
        if not word[0].isupper():
            return False
    return False


#: A saint, not a street, comes after these words with a capital.
_BEFORE_SAINT = re.compile(
    "Mount|Port|Old|Fort|Lake|Cathedral|Church|Chapel|Island|Feast|Sir|Good|Dear|And|The|In|From|Of|At|To|For|By|With|"
    "When|On|Near|Sault|New|East|West|North|South|Saints|Blessed|Pope|College|Hospital|River"
)


@rule(r"(?<![\w.])(?P<said>St(?P<stop>\.)?)(?![\w'’-])(?P<next>\s+[A-Z])?")
def saints_and_streets(match: re.Match[str]) -> str | None:
    """`St. John's St.`: a saint before a name, a street behind one."""
    before = match.string[max(0, match.start() - 50) : match.start()]
    last = before.split()[-1:] if not re.search(r"[.!?\n]\s*$", before) else []
    named = bool(last) and (last[0][0].isupper() or re.fullmatch(r"[0-9]+(?:st|nd|rd|th)", last[0]) is not None)
    named = named and not _BEFORE_SAINT.fullmatch(last[0]) and not last[0].endswith(",")
    if match["next"] and not (named and (_numbered(before.split()) or (match["stop"] and last[0].isalpha()))):
        return "Saint"
    if not named or (not match["stop"] and not _numbered(before.split())):
        return None
    return "Street" + (stop(match.string, match.end("said")) if match["stop"] else "")


@rule(r"(?<![\w.])(?P<said>Dr(?P<stop>\.)?)(?![\w'’-])(?P<next>\s+[A-Z])?")
def doctors_and_drives(match: re.Match[str]) -> str | None:
    """`Dr. Smith of 5 Ocean Dr.`: a doctor before a name, a drive behind an address."""
    before = match.string[max(0, match.start() - 50) : match.start()]
    last = before.split()[-1:] if not re.search(r"[.!?,\n]\s*$", before) else []
    numbered = _numbered(before.split())
    if last and last[0][0].isupper() and (numbered or (match["stop"] and not match["next"])):
        return "Drive" + (stop(match.string, match.end("said")) if match["stop"] else "")
    return "Doctor" if match["next"] else None


@rule(r"(?<=[A-Za-z])(?P<comma>,?) (?P<said>(?P<which>Jr|Sr)\.)(?!\w)")
def generations(match: re.Match[str]) -> str | None:
    street = re.match(rf" (?:{'|'.join(_STREETS)})\b", match.string[match.end() : match.end() + 8])
    return {"Jr": "Junior", "Sr": "Senior"}[match["which"]] + ("" if street else stop(match.string, match.end()))


# Latin, and words that are cut short

#: What is said, and whether a pause follows where no comma stands.
_PHRASES = {
    "e.g.": "for example,", "eg.": "for example,", "i.e.": "that is,", "ie.": "that is,", "viz.": "namely,",
    "cf.": "compare",
    "et al.": "et al", "ca.": "about", "approx.": "approximately", "vs.": "versus", "vs": "versus",
    "a.k.a.": "also known as",
    "aka": "also known as", "w/o": "without", "b/c": "because", "and/or": "and or", "incl.": "including",
    "excl.": "excluding",
    "esp.": "especially", "misc.": "miscellaneous", "N/A": "not applicable", "n/a": "not applicable", "c/o": "care of",
    "s/he": "she or he", "he/she": "he or she", "she/he": "she or he", "him/her": "him or her", "his/her": "his or her",
}  # fmt: skip
_ANY_PHRASE = "|".join(re.escape(each).replace(r"\ ", r"\s") for each in sorted(_PHRASES, key=len, reverse=True))


@rule(rf"(?<![\w./@])(?P<phrase>{_ANY_PHRASE})(?P<comma>\s?[,:])?(?![\w/@])", re.IGNORECASE)
def phrases(match: re.Match[str]) -> str | None:
    """`e.g.`, `vs.`, `w/o`: without the pause of a sentence."""
    written = re.sub(r"\s", " ", match["phrase"])
    said = _PHRASES.get(written) or _PHRASES.get(written.lower())
    if said is None:
        return None
    comma = (match["comma"] or "").strip()
    if comma:
        return said.rstrip(",") + comma
    if said.endswith(",") or said == "et al":
        return said if not ends_sentence(match.string, match.end()) or said != "et al" else f"{said}."
    return said


@rule(r"(?<![\w.])w/(?= ?[A-Za-z])(?!o\b)(?P<blank> ?)")
def with_(match: re.Match[str]) -> str | None:
    """`w/ milk`."""
    return "with "


@rule(r"\b[A-Z]\w*\.? (?P<said>v\.)(?= [A-Z])")
def cases(match: re.Match[str]) -> str | None:
    """`Roe v. Wade`."""
    return "versus"


@rule(r"(?<![\w.])(?P<etc>etc\.?|&c\.)(?![\w])(?P<comma>(?=[,;:)]))?")
def and_so_on(match: re.Match[str]) -> str | None:
    return "et cetera" + ("" if match["comma"] is not None else stop(match.string, match.end()))


_CUT = {
    "dept": "department", "est": "established", "fig": "figure", "figs": "figures", "eq": "equation",
    "eqs": "equations",
    "ch": "chapter", "chs": "chapters", "p": "page", "pp": "pages", "pg": "page", "vol": "volume", "vols": "volumes",
    "sec": "section", "art": "article", "tel": "telephone", "ext": "extension", "ed": "edition", "bk": "book",
    "pt": "part",
    "app": "appendix", "para": "paragraph", "apt": "apartment", "rm": "room", "max": "maximum", "min": "minimum",
    "avg": "average", "temp": "temperature", "ref": "reference", "op": "opus", "ver": "version", "l": "line",
    "ll": "lines",
}  # fmt: skip


@rule(rf"(?<![\w.'’&/\-])(?P<said>(?P<cut>{'|'.join(_CUT)})\.)(?=\s?[0-9])", re.IGNORECASE)
def references(match: re.Match[str]) -> str | None:
    """`p. 5`, `Fig. 2`, `vol. 3`: before a number."""
    cut = match["cut"]
    said = _CUT[cut.lower()]
    blank = "" if match.string[match.end("said")].isspace() else " "
    return (said.capitalize() if cut[0].isupper() else said) + blank


_BUSINESS = {"Inc": "Incorporated", "Ltd": "Limited", "Corp": "Corporation", "Co": "Company", "Bros": "Brothers",
             "Dept": "Department",
             "Univ": "University", "Assn": "Association", "Intl": "International", "Govt": "Government"}  # fmt: skip


@rule(rf"(?<=[\w,] )(?P<said>(?P<which>{'|'.join(_BUSINESS)})\.)(?![\w])|(?<![\w.])(?P<dept>Dept|Univ)\.(?= of\b)")
def business(match: re.Match[str]) -> str | None:
    """`Acme Inc.`"""
    if match["which"] is None:
        return None
    return _BUSINESS[match["which"]] + stop(match.string, match.end())


# Acronyms

#: Acronyms with a vowel that are said letter by letter; without a vowel all are.
_SPELLED = re.compile(
    "CEO|CFO|CTO|COO|CIO|NGO|UFO|URL|API|IPO|GPU|CPU|LLM|AI|UI|UX|OS|IP|ID|IT|US|UK|UN|EU|UAE|USA|TA|ATM|ADHD|IQ|EQ"
    "|IOU|"
    "EMT|DIY|GDPR|EV|SUV|RPG|CEO|OEM|ISP|IDE|SUV|VIP|HIV|UTC|GPT|GPA|ETA|FAQ|DNA|RNA|MRI"
)
#: Words by accident: as capitals in a text of small letters they are these acronyms, with what must stand beside some.
_ACCIDENTS = (
    r"(?:(?<=\bthe )|(?<=\bThe ))(?:WHO|IT|US|UN|EU|UK)\b|\bWHO(?= (?:says|said|declared|recommends|recommended"
    r"|announced|warned|warns|reports|"
    r"reported|officials?|guidelines|director|estimates|data|chief)\b|['’]s\b)"
    r"|\bIT(?= (?:department|team|support|company|companies|staff|industry|manager|systems?|infrastructure|services?"
    r"|professionals?|sector|"
    r"specialists?|consultants?|guy|admin|project|budget|security|skills|job|jobs|director|policy|help ?desk)\b)"
    r"|(?<=\bin )IT(?=[ .,;]|$)"
    r"|\bUS(?! ?\$)(?= (?:[A-Z][a-z]+|dollars?|government|economy|army|president|troops|state|states|citizens?"
    r"|market|markets|election|military)\b)"
    r"|(?<=\bin )US\b|(?<=\ban )(?:LED|SAT|EST|ETA)\b|\b(?:LED|LEDs)(?= (?:lights?|lamps?|bulbs?|screens?|displays?"
    r"|strips?)\b)"
)
_SHOUTED = re.compile(r"[a-z]")


@rule(rf"(?:{_ACCIDENTS})")
def accidents(match: re.Match[str]) -> str | None:
    """`The WHO said so`; "WHO did that?" is a word in capitals."""
    if not _SHOUTED.search(match.string, max(0, match.start() - 40), match.end() + 40):
        return None
    return words.letters(match[0])


def _is_spelled(acronym: str) -> bool:
    return _SPELLED.fullmatch(acronym) is not None or not re.search(r"[AEIOUY]", acronym)


@rule(r"(?<![\w.&'’\-])(?P<acronym>[A-Z]{2,5})(?P<own>s['’](?!\w)|['’]?s)(?![\w])")
def several(match: re.Match[str]) -> str | None:
    """`CEOs'`, `two PDFs`, `the BBC's`; `NASA's` is a word."""
    if not _is_spelled(match["acronym"]):
        return None
    return f"{words.letters(match['acronym'])}'s"


@rule(
    r"(?<![\w./#&$\-])(?P<letters>[A-Z]{2,4})(?P<dash>[ -])?(?P<number>[0-9]{1,2}(?:\.[0-9]{1,2})?)(?![\w/@#]"
    r"|[-.:][\w])"
)
def numbered(match: re.Match[str]) -> str | None:
    """`GPT-4`, `MP3`: an acronym of consonants with a small number; longer ones are product codes."""
    acronym = match["letters"]
    if match["dash"] == " " or (not _is_spelled(acronym) and acronym not in ("CO", "AK", "UB")):
        return None
    return f"{words.letters(acronym)} {words.number(match['number'])}"


@rule(r"(?<![\w./#&$\-])(?P<name>[A-Z][a-z]{2,20}|COVID|SARS)-(?P<number>[0-9]{1,2})(?![\w/@#]|[-.:,][\w])")
def named(match: re.Match[str]) -> str | None:
    """`Catch-22`, `COVID-19`."""
    return f"{match['name']} {words.number(match['number'])}"


@rule(r"(?<![\w.'’&])(?P<initials>(?:[A-Z]\.){2,6})(?P<own>['’]s)?(?!\w)")
def initials(match: re.Match[str]) -> str | None:
    """`U.S.`, `J.R.R. Tolkien`, `the U.N.'s`."""
    end = match.end("initials")
    name = len(match["initials"]) >= 4 and re.match(r" [A-Z][a-z]", match.string[end : end + 3])
    full = "" if match["own"] or (name and match.string[end:].lstrip()) else stop(match.string, end)
    return words.letters(match["initials"].replace(".", "")) + (match["own"] or "") + full


@rule(r"(?<![\w.])(?:Ph\.\s?D\.?|PhD|Ph\.D)(?P<many>s)?(?!\w)")
def degrees(match: re.Match[str]) -> str | None:
    return f"P H D{chr(39) + 's' if match['many'] else ''}" + (
        stop(match.string, match.end()) if match[0].endswith(".") else ""
    )


@rule(r"(?<=[a-z])\((?P<many>e?s)\)(?![\w(])")
def plurals(match: re.Match[str]) -> str | None:
    """`your file(s)`."""
    return match["many"]


RULES = (
    titles, streets, saints_and_streets, doctors_and_drives, generations, phrases, with_, cases, and_so_on, references,
    business, accidents, several, numbered, named, initials, degrees,
)  # fmt: skip
