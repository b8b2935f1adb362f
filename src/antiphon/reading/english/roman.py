"""Roman: Roman numerals after chapters and wars, kings and popes, in names, and as characters of their own."""

from __future__ import annotations

import re
import unicodedata

from antiphon.reading.english import words
from antiphon.reading.finding import rule

#: What is numbered. `I` after one of them needs more (see `numbered`).
_NUMBERED = (
    "chapter|part|act|scene|book|volume|vol|section|article|title|appendix|canto|stanza|phase|stage|type|class|grade|"
    "level|figure|fig|table|plate|lesson|unit|episode|season|psalm|sonnet|symphony|opus|op|war|wars|bowl|"
    "mark|mk|model|version|round|series|category|corps|div|division|district|zone|region|group|theorem|axiom|step|"
    "exhibit|schedule|annex|block|line|page|pages|tier|area|generation|gen|apollo|gemini|saturn|factor|collagen|"
    "chapters|parts|acts|books|volumes|sections|articles|types|phases"
)
_KINGS = (
    "Henry|Louis|Charles|George|Edward|William|James|Richard|Elizabeth|Mary|Philip|Francis|Frederick|Ferdinand|"
    "Napoleon|Nicholas|Catherine|Alexander|Peter|Paul|John|John Paul|Benedict|Pius|Leo|Gregory|Innocent|Clement|Urban|"
    "Boniface|Sixtus|Julius|Adrian|Hadrian|Celestine|Martin|Eugene|Stephen|Ivan|Otto|Wilhelm|Friedrich|Heinrich|"
    "Ludwig|Karl|Carl|Gustav|Gustavus|Christian|Harald|Haakon|Olav|Oscar|Margrethe|Beatrix|Albert|Leopold|Baudouin|"
    "Ramses|Ramesses|Rameses|Thutmose|Amenhotep|Seti|Ptolemy|Cleopatra|Darius|Xerxes|Artaxerxes|Cyrus|Antiochus|"
    "Mithridates|Constantine|Theodosius|Valentinian|Justinian|Justin|Basil|Michael|Leopold|Maximilian|Joseph|Rudolf|"
    "Rudolph|Sigismund|Casimir|Augustus|Alfonso|Alphonse|Sancho|Isabella|Juan Carlos|Felipe|Pedro|Afonso|Manuel|"
    "Victor Emmanuel|Umberto|Selim|Suleiman|Murad|Mehmed|Mehmet|Bayezid|Ahmed|Mahmud|Abdul Hamid|Osman|Robert|David|"
    "Malcolm|Alexios|Manuel|Rama|Menelik|Nebuchadnezzar|Sargon|Harold|Æthelred|Ethelred|Edmund|Conrad|Lothair|Philippe|"
    "Jean|Henri|Charlemagne|Francois|François|Franz|Willem|Wilhelmina|Christina|Anastasius|Honorius|Nicholas|Alexius|"
    "Hassan|Mohammed|Muhammad|Abdullah|Hussein|Farouk|Pope|Shenouda|Tawadros|Bartholomew"
)
_TITLES = (
    r"(?:King|Queen|Pope|Emperor|Empress|Tsar|Czar|Kaiser|Sultan|Shah|Pharaoh|Prince|Duke|Patriarch|Saint|St\.|Count)"
)
#: Numerals of several letters that are no word, no initials, no size and no state; long ones only of I, V and X.
_SEVERAL = r"(?:I{2,3}|I[VX]|VI{1,3}|X{1,3}(?:I{1,3}|I[VX]|VI{0,3})|X{2,3}|(?:X?L|LX{1,3})(?:I{1,3}|I[VX]|VI{0,3}))"
_ANY = r"(?:M{0,3}(?:C[MD]|D?C{0,3})(?:X[CL]|L?X{0,3})(?:I[XV]|V?I{0,3}))"
#: After these a numeral belongs to no name: `the IV drip`, `XX chromosomes`.
_PLACES = r"(?<![\w.&'’\-/])"
_END = r"(?![\w&/]|['’][a-rt-zA-Z]|-\w|\.[A-Z])"


def _value(written: str) -> int:
    return words.roman(written)


@rule(r"(?<![\u2160-\u217f])[\u2160-\u217f]{1,15}+(?![\u2160-\u217f])")
def characters(match: re.Match[str]) -> str | None:
    """`Part Ⅳ`: the characters for Roman numerals are nothing else; after a king's name they are ordinals."""
    written = unicodedata.normalize("NFKC", match[0]).upper()
    value = _value(written)
    if not value:
        return None
    before = match.string[max(0, match.start() - 20) : match.start()].split()
    if before and re.fullmatch(_KINGS, before[-1]):
        return f"the {words.ordinal(value)}"
    return words.cardinal(value)


#: After `Part I` comes the end, a mark, or a word that cannot follow the pronoun: "the part I loved" is none.
_NO_PRONOUN = (
    r"(?=\s*(?:$|[.:;)\]\n\u2013\u2014]|,(?!\s+(?:too|also|myself|like|for one)\b))"
    r"|\s+(?:of|and|or|to|is|in|begins|ends|covers|describes|deals|on|from|by|error|diabetes|errors)\b"
    r"|\s+[-\u2013\u2014(])"
)


@rule(
    rf"\b(?P<what>{_NUMBERED})\.?\s+(?P<said>(?=[IVXLCDM]){_ANY})(?:(?P<dash>[-\u2013])(?P<to>(?=[IVXLCDM]){_ANY}))?{_END}",
    re.IGNORECASE,
)
def numbered(match: re.Match[str]) -> str | None:
    """`Chapter IV`, `World War II`, `Acts I-III`."""
    said, what = match["said"], match["what"]
    if said != said.upper() or not (value := _value(said)):
        return None
    if len(said) == 1 and ((what[0].islower() and said not in "VX") or not _single(match)):
        return None
    return words.cardinal(value)


def _single(match: re.Match[str]) -> bool:
    """Whether a single letter is a numeral: `I` not where it may be the pronoun, `C`, `D`, `L` and `M` never."""
    said = match["said"]
    if said == "I":
        return match["what"].lower() in ("war", "wars") or bool(
            re.compile(_NO_PRONOUN).match(match.string, match.end())
        )
    return said in "VX"


@rule(rf"(?<=[IVXL])(?P<said>[-\u2013](?P<to>{_SEVERAL}|V|X)){_END}")
def up_to(match: re.Match[str]) -> str | None:
    """The end of `Acts I-III`."""
    before = match.string[max(0, match.start() - 16) : match.start()]
    if not re.search(rf"\b(?:{_NUMBERED})\.?\s+[IVXLCDM]+$", before, re.IGNORECASE):
        return None
    return f" to {words.cardinal(_value(match['to']))}"


@rule(
    rf"\b(?:{_NUMBERED})\.?\s+[IVXLCDM]{{1,6}}(?:,?\s+(?:and|or|to|through)|,)\s+(?P<said>{_SEVERAL}|V|X){_END}",
    re.IGNORECASE,
)
def and_more(match: re.Match[str]) -> str | None:
    """`Chapters I and II`, `Parts I, II`."""
    value = _value(match["said"])
    return words.cardinal(value) if value else None


@rule(
    rf"(?P<title>\b{_TITLES}\s+)?\b(?P<name>{_KINGS})\s+(?P<the>the\s+)?(?P<said>{_SEVERAL}|[IVX])(?P<own>['’]s)?{_END}"
)
def rulers(match: re.Match[str]) -> str | None:
    """`Henry VIII`, `Pope John Paul II`. `I` alone needs a title before it, or words after it that tell it from the
    pronoun; "Malcolm X" is a name."""
    said, text = match["said"], match.string
    if match["name"] == "Malcolm" and said == "X":
        return None
    if said == "I" and not (match["title"] or match["own"] or _royal(text, match.end())):
        return None
    return f"{'' if match['the'] else 'the '}{words.ordinal(_value(said))}"


_ROYAL = re.compile(
    r"\s+(?:of\s+[A-Z]|was\s+(?:born|crowned|king|queen|the|a|executed|succeeded)"
    r"|and\s+(?:[A-Z]\w+\s+)?(?:[IVX]{2,}\b|[A-Z]\w+\s+[IVX]+\b)|"
    r"became|reigned|ruled|died|succeeded|\([0-9])"
)


def _royal(text: str, end: int) -> bool:
    return bool(_ROYAL.match(text, end))


@rule(
    rf"{_PLACES}(?P<said>(?P<roman>(?=[IVX])X{{0,3}}(?:I[XV]|V?I{{0,3}}))(?P<th>th|st|nd"
    rf"|rd)?)(?=[\s-]+(?:and\s+[IVX]+\s+)?(?:[Cc]entur(?:y|ies)|[Oo]lympi(?:cs?|ad)|[Aa]rrondissement|[Dd]ynasty|[Cc]ongress)\b)"
)
def centuries(match: re.Match[str]) -> str | None:
    """`the XIX century`."""
    value = _value(match["roman"])
    return words.ordinal(value) if value else None


@rule(rf"\b[Tt]he\s+(?P<said>(?!IV\b){_SEVERAL})(?=\s+(?!Corps\b|Army\b)[A-Z][a-z])")
def events(match: re.Match[str]) -> str | None:
    """`the XV International Congress`, `the II World War`."""
    return words.ordinal(_value(match["said"]))


_BOOKS = "Samuel|Kings|Chronicles|Corinthians|Thessalonians|Timothy|Peter|John|Maccabees|Esdras"


@rule(rf"(?<![\w.,'’])(?P<said>I{{1,3}}|[123])(?=\s+(?:{_BOOKS})\b(?!\s+(?:is|was|and|said)\b))")
def scripture(match: re.Match[str]) -> str | None:
    """`I Corinthians 13`; "I, John" and "so I Peter away" are no books: what may be a name needs a chapter after it."""
    rest = match.string[match.end() : match.end() + 24]
    if re.match(r"\s+(?:Samuel|Peter|John|Timothy|Kings)\b", rest) and not re.match(r"\s+\w+\s+[0-9]", rest):
        return None
    said = match["said"]
    return words.ordinal(int(said) if said.isdigit() else len(said)).capitalize()


@rule(rf"\b(?P<name>[A-Z][a-z]+)\s+(?P<said>(?P<roman>{_SEVERAL})){_END}")
def names(match: re.Match[str]) -> str | None:
    """`Rocky IV`, `Final Fantasy VII`: a number at the end of a name of any kind. "The IV drip" is no name."""
    if match["name"] in (
        "The",
        "An",
        "This",
        "That",
        "His",
        "Her",
        "No",
        "In",
        "On",
        "With",
        "By",
        "For",
        "And",
        "Size",
    ):
        return None
    return words.cardinal(_value(match["roman"]))


@rule(r"(?<![\w.&'’\-/])(?P<said>M{1,3}(?:C[MD]|D?C{0,3})(?:X[CL]|L?X{0,3})(?:I[XV]|V?I{0,3}))(?![\w&/'’-])")
def years(match: re.Match[str]) -> str | None:
    """`MCMXCIX`."""
    value = _value(match["said"])
    return words.year(str(value)) if len(match["said"]) > 3 and 1000 <= value < 2100 else None


@rule(rf"(?:(?<=\n)|(?<![\s\S]))(?P<said>{_SEVERAL})(?=\.\s|\.?\s*$|\.?\s*\n)")
def items(match: re.Match[str]) -> str | None:
    """`IV. The Storm` at the beginning of a line; never `I.`, `V.` and `X.`, which are initials too."""
    return words.cardinal(_value(match["said"]))


RULES = (characters, numbered, up_to, and_more, rulers, centuries, events, scripture, items, names, years)
