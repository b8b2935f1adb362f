"""Normalisation: removes what cannot be spoken, and gives one form to texts that sound alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

#: Characters that are cleaned at once: a single call of `re` or `unicodedata` holds up every thread of the process.
PIECE = 16 * 1024
#: Characters in a row without a letter or a digit of which all count; of more, the middle is left out.
MAX_VOID = 4096
#: Most combining marks in a row. Unicode normalisation sorts them in quadratic time; real scripts have a handful.
MAX_MARKS = 64
#: Most characters in a row without a letter or a digit. With this bound a text can always be cut into pieces of bounded
#: length that each have one.
MAX_RUBBLE = 40

_LINE_ENDS = re.compile("\r\n?|[\n\v\f\x85\u2028]")
#: Controls, bidirectional controls, joiners, variation selectors, fillers, marks of byte order and of hyphenation,
#: interlinear annotation, tags, lone surrogates, non-characters.
_SILENT = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\ud800-\udfff\ufdd0-\ufdef"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
#: Pictographs, and characters of private use, which are icons of some font; not circled and other numbers.
_PICTURE = (
    "\u20e3\u231a\u231b\u2328\u23cf\u23e9-\u23fa\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u2767\u2794-\u27bf"
    "\u2934\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\ue000-\uf8ff"
    "\U0001f000-\U0001f0ff\U0001f10d-\U0001f10f\U0001f16c-\U0001f1ff\U0001f300-\U0001faff\U000f0000-\U0010ffff"
)
_PICTURES = re.compile(f" ?[{_PICTURE}][ {_PICTURE}]*")
_CLOSING = frozenset(",.;:!?)]}，。、；：！？）】」』》”’…")
_SPACES = re.compile("[\t\x1c-\x1f \u00a0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000]+")
_PLAIN_SPACES = re.compile("[\t\x1c-\x1f ]{2,}|[\t\x1c-\x1f]")
_AROUND_LINES = re.compile(" ?\n[\n ]*")
#: A mark four or more times in a row.
_REPEATED = re.compile(r"([^\w\s]|_)\1{3,}")
_RUBBLE = re.compile(rf"[\W_]{{{MAX_RUBBLE + 1},}}")
_MANY_MARKS = re.compile(rf"[^\w\s\x00-\x7f]{{{MAX_MARKS + 1},}}")
#: Letters and digits that stay what they are whatever is before them, so that the texts on both sides of such a place
#: can be cleaned apart: not the vowels and finals of a syllable, nor letters that are invisible.
_PLACE = re.compile("[^\\W_\u115f-\u11ff\u3164\uffa0\U00016d63-\U00016d6a]")


def clean(text: str) -> str:
    """The text as it is spoken, and as recipes have it. Takes linear time, is idempotent, never raises.

    The result is in Unicode NFC. Line breaks are newlines, a blank line is exactly two, other white space is single
    spaces, with none at either end of a line or of the text. It has no control characters, invisible characters, lone
    surrogates or pictographs; the words around a pictograph stay apart. It repeats a mark at most three times, and has
    at most `MAX_RUBBLE` characters in a row that are neither letters nor digits.
    """
    return "".join(map(_cleaned, _pieces(text))).strip()


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces that are cleaned apart; each but the first begins with a letter or a digit (`_PLACE`)."""
    start = 0
    while len(text) - start > PIECE + MAX_VOID:
        least = start + PIECE + MAX_VOID
        place = _PLACE.search(text, start + PIECE, least) or _PLACE.search(text, least)
        end = place.start() if place is not None else len(text)
        yield text[start:end] if end <= least else text[start:least] + text[max(least, end - MAX_VOID) : end]
        start = end
    yield text[start:]


def _cleaned(text: str) -> str:
    text = _LINE_ENDS.sub("\n", text)
    if text.isascii():
        text = _SILENT.sub("", text)
        text = _PLAIN_SPACES.sub(" ", text)
    else:
        text = text.replace("\u2029", "\n\n")
        text = _SILENT.sub("", text)
        text = _SPACES.sub(" ", text)
        text = _PICTURES.sub(_without_picture, text)
        text = _MANY_MARKS.sub(_fewer_marks, text)
        text = unicodedata.normalize("NFC", text)
    text = _AROUND_LINES.sub(_line_break, text)
    text = _REPEATED.sub(r"\1\1\1", text)
    return _RUBBLE.sub(_less_rubble, text)


def log_text(text: str, limit: int = 30) -> str:
    """The first `limit` characters, for one line of a log: characters that do not print become spaces."""
    return "".join(ch if ch.isprintable() else " " for ch in text[: max(limit, 0)])


def _without_picture(match: re.Match[str]) -> str:
    """A space in place of pictographs; nothing before a closing mark, which stays next to its word."""
    after = match.string[match.end() : match.end() + 1]
    return "" if after in _CLOSING else " "


def _fewer_marks(match: re.Match[str]) -> str:
    """A run of marks and signs with at most `MAX_MARKS` combining marks one after another."""
    kept: list[str] = []
    row = 0
    for ch in match[0]:
        row = row + 1 if unicodedata.category(ch)[0] == "M" else 0
        if row <= MAX_MARKS:
            kept.append(ch)
    return "".join(kept)


def _line_break(match: re.Match[str]) -> str:
    return "\n\n" if match[0].count("\n") > 1 else "\n"


def _less_rubble(match: re.Match[str]) -> str:
    """The head of a run without words that is too long, and the widest white space of its rest."""
    head, rest = match[0][: MAX_RUBBLE - 2], match[0][MAX_RUBBLE - 2 :]
    for gap in ("\n\n", "\n", " "):
        if gap in rest:
            return head.rstrip() + gap
    return head
