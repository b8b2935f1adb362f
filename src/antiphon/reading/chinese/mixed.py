"""Mixed: English within Chinese text, which the rules of English read, and Chinese within other text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from antiphon.reading.chinese.words import HAN

#: Latin letters, digits and their punctuation between Chinese.
_RUN = re.compile("[ -~\u00a0-\u024f‘’“”–—…€£]+")
_WORD = re.compile("[A-Za-z\u00c0-\u024f'’]+")
#: Addresses of pages and of mail.
_ADDRESS = re.compile(
    r"(?<![A-Za-z\d])(?:https?://|ftp://|www\.)[!-~]{1,2000}"
    r"|(?<![A-Za-z\d_.%+-])[A-Za-z\d_%+-][A-Za-z\d._%+-]{0,63}@[A-Za-z\d-]{1,63}(?:\.[A-Za-z\d-]{1,63}){1,8}"
)
#: Fewest words of a sentence; fewer are a name, whose numbers are said in Chinese.
_WORDS = 3
#: Chinese characters with their punctuation, and the numbers beside and between them.
_CHINESE = re.compile(f"\\d{{0,20}}[{HAN}](?:[{HAN}，、：；“”（）《》\\d.:%+~-]*[{HAN}\\d%])?")


def foreign(text: str) -> Iterator[tuple[int, int]]:
    """Where sentences in Latin letters stand (three words at least, one of them in small letters), and addresses."""
    for run in _RUN.finditer(text):
        words = [word for word in _WORD.findall(_ADDRESS.sub(" ", run[0])) if len(word) > 1 or word in "aI"]
        if len(words) >= _WORDS and any(word.islower() and len(word) > 1 for word in words):
            stripped = run[0].strip()
            start = run.start() + run[0].index(stripped)
            yield _start(text, start, run.end()), start + len(stripped)
        else:
            yield from (address.span() for address in _ADDRESS.finditer(text, *run.span()))


def native(text: str) -> Iterator[tuple[int, int]]:
    """Where Chinese stands in a text of another language."""
    return (run.span() for run in _CHINESE.finditer(text))


def _start(text: str, start: int, end: int) -> int:
    """Where the sentence starts: at its first word, for digits beside Chinese before it are Chinese."""
    if start == 0 or not text[start - 1].isalnum():
        return start
    word = _WORD.search(text, start, end)
    return word.start() if word else start
