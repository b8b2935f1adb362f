"""Words: numbers as English words."""

from __future__ import annotations

_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen",
    "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = ("", "thousand", "million", "billion", "trillion", "quadrillion")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
#: Digits of the longest number that has words; longer ones are read digit by digit.
MAX_DIGITS = 3 * len(_SCALES)


def cardinal(number: int) -> str:
    """`1234` is one thousand two hundred thirty four."""
    if number < 0:
        return f"minus {cardinal(-number)}"
    if number < 1000:
        return _below_thousand(number)
    parts: list[str] = []
    for scale in _SCALES:
        number, rest = divmod(number, 1000)
        if rest:
            parts.append(f"{_below_thousand(rest)} {scale}".strip())
    return " ".join(reversed(parts))


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    parts = [f"{_SMALL[hundreds]} hundred"] if hundreds else []
    if 0 < rest < 20 or (not hundreds and rest == 0):
        parts.append(_SMALL[rest])
    elif rest:
        tens, ones = divmod(rest, 10)
        parts.append(f"{_TENS[tens]} {_SMALL[ones]}" if ones else _TENS[tens])
    return " ".join(parts)


def ordinal(number: int) -> str:
    """`21` is twenty first."""
    head, _, last = cardinal(number).rpartition(" ")
    regular = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return f"{head} {_ORDINALS.get(last, regular)}".strip()


def plural(words: str) -> str:
    """`twenty` is twenties, `hundred` hundreds, `six` sixes."""
    if words.endswith("y"):
        return f"{words[:-1]}ies"
    return f"{words}es" if words.endswith("x") else f"{words}s"


def digits(text: str, zero: str = "zero") -> str:
    """Digit by digit; what is no digit is left out."""
    return " ".join(zero if ch == "0" else _SMALL[int(ch)] for ch in text if ch in "0123456789")


def whole(text: str) -> str:
    """Digits, perhaps with commas: as a number, or one by one if they begin with 0 or are too many."""
    text = text.replace(",", "") or "0"
    if len(text) > MAX_DIGITS or (len(text) > 1 and text[0] == "0"):
        return digits(text)
    return cardinal(int(text))


def number(text: str) -> str:
    """`-1,234.50` is minus one thousand two hundred thirty four point five zero."""
    sign = {"-": "minus ", "\u2212": "minus ", "+": "plus "}.get(text[:1], "")
    head, point, tail = text.lstrip("-\u2212+").partition(".")
    return sign + (whole(head) if head else "zero") + (f" point {digits(tail)}" if point and tail else "")


def year(text: str) -> str:
    """Four digits as a year: nineteen oh five, two thousand five, twenty twenty four."""
    value = int(text)
    century, rest = divmod(value, 100)
    if not 1000 <= value <= 9999 or (century % 10 == 0 and rest < 10):
        return cardinal(value)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def decade(text: str) -> str:
    """`1990` of 1990s is nineteen nineties, `80` eighties, `1800` eighteen hundreds."""
    if len(text) == 4 and text[2:] not in ("00", "10"):
        return f"{cardinal(int(text[:2]))} {plural(_TENS[int(text[2])])}"
    return plural(year(text) if len(text) == 4 else cardinal(int(text)))


def letters(text: str) -> str:
    """Letter by letter."""
    return " ".join(text.upper())


_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def roman(text: str) -> int:
    """The value of a Roman numeral; 0 if it is none."""
    if not text or len(text) > 15 or any(ch not in _ROMAN for ch in text):
        return 0
    values = [_ROMAN[ch] for ch in text]
    total = sum(-v if v < after else v for v, after in zip(values, [*values[1:], 0], strict=True))
    return total if as_roman(total) == text else 0


_ROMAN_SIGNS = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"),
    (9, "IX"),
    (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip


def as_roman(value: int) -> str:
    written = ""
    for size, sign in _ROMAN_SIGNS:
        count, value = divmod(value, size)
        written += sign * count
    return written
