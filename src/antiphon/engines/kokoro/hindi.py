"""Hindi: splits text into what espeak's Hindi voice reads safely, numbers among it, and words in other scripts."""

from __future__ import annotations

import re
from collections.abc import Callable

_WORDS = r"[\u0900-\u0963\u0970-\u097f]+(?:\s+[\u0900-\u0963\u0970-\u097f]+)*"
_NUMBER = r"\d+(?:\.\d+)?"
#: Digits and signs within a word have crashed espeak's Hindi voice, and other scripts have; words of Hindi alone, or
#: numbers alone, have not in 20,000 trials each.
_RUN = re.compile(f"({_WORDS})|({_NUMBER})")
HINDI = re.compile(_WORDS)

_GROUPED = re.compile(r"(?<=\d),(?=\d)")
#: Times, dates and ranges.
_BETWEEN = re.compile(r"(?<=\d)[:/–-](?=\d)")
_PERCENT = re.compile(r"(?<=\d)\s*%")
_MONEY = re.compile(r"([₹$€£])\s*(\d+(?:\.\d+)?)(\s*(?:हज़ार|हजार|लाख|करोड़|करोड़|अरब))?")
_CURRENCY = {"₹": "रुपये", "$": "डॉलर", "€": "यूरो", "£": "पाउंड"}
_FULL_STOPS = str.maketrans({"।": ". ", "॥": ". "})


def phonemes(text: str, hindi: Callable[[str], str], foreign: Callable[[str], str]) -> str:
    """Kokoro's phonemes. `hindi` gives those of Hindi words and of numbers, `foreign` those of all else."""
    text = _GROUPED.sub("", text.translate(_FULL_STOPS))
    text = _MONEY.sub(lambda m: f"{m[2]}{m[3] or ''} {_CURRENCY[m[1]]}", text)
    text = _BETWEEN.sub(" ", _PERCENT.sub(" प्रतिशत", text))
    out, at = [], 0
    for run in _RUN.finditer(text):
        out += [foreign(text[at : run.start()]), " ", hindi(run[0]), " "]
        at = run.end()
    return "".join((*out, foreign(text[at:])))
