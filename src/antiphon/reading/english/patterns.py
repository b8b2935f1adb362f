"""Patterns: parts that the rules of several kinds share."""

from __future__ import annotations

#: A number without its sign: digits, with commas between thousands or without, perhaps with decimals.
NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})++(?![0-9])|[0-9]++)(?:\.[0-9]++)?"
#: Nothing stands before a number that makes it part of a word, a code, a path or another number.
BEFORE = r"(?<![\w.,:/\\#@=^*$€£¥₹\-\u2212\u2013+])"
#: Nothing stands after it that does; a full stop or a comma may end the sentence.
AFTER = r"(?![\w/\\@=^*%°$€£¥]|[.,:\-\u2013\u2212+][\w])"
#: The sign of a number: only with blank space or an opening bracket before it.
SIGN = r"(?:(?<![^\s(\[])[-\u2212+](?=[0-9.]))?"
#: Between the ends of a range.
DASH = r"[-\u2013\u2014\u2012\u2010\u2011~]"

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
#: The month of each way to write it, in lower case and without a full stop.
MONTH_OF = {name.lower(): name for name in MONTHS} | {name[:3].lower(): name for name in MONTHS} | {"sept": "September"}
#: A month's name; `May` and `March` are words as well, so a day or a year must stand beside it.
MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\b\.?"
)


def month(written: str) -> str:
    return MONTH_OF[written.rstrip(".").lower()]


def ends_sentence(text: str, end: int) -> bool:
    """Whether a full stop just before `end` may end the sentence as well: nothing, or a capital, comes after it."""
    rest = text[end : end + 4].lstrip(" \"'”’)")
    return not rest or rest[0] == "\n" or (rest[0].isupper() and not rest[:2].isupper())


def stop(text: str, end: int) -> str:
    """The full stop of an abbreviation, where it is that of the sentence as well."""
    return "." if text[end - 1] == "." and ends_sentence(text, end) else ""
