"""Japanese: turns text into Kokoro's phonemes; readings and words by OpenJTalk, letters by `kana`.

OpenJTalk reads numbers, dates and English words that its dictionary knows as Japanese people do. It comes with its
dictionary, and asks no network.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from antiphon.engines.kokoro import kana

MODULE = "pyopenjtalk"
#: What an operator does if it is not installed.
REMEDY = "with: pip install 'antiphon[kokoro-ja]'"

_MARKS = {
    "、": ",", "。": ".", "「": "“", "」": "”", "『": "“", "』": "”", "〈": "“", "〉": "”", "《": "“", "》": "”",
    "【": "(", "】": ")", "［": "(", "］": ")", "〜": "—", "～": "—", "―": "—", "・": " ",
}  # fmt: skip
_KNOWN = frozenset(";:,.!?—…“”()")
_JOINED = frozenset("ʔː;:,.!?…”)")
#: OpenJTalk's name for a word that it does not know and spells.
_SPELLED = "フィラー"


def installed() -> bool:
    return find_spec(MODULE) is not None


class Japanese:
    """Building it takes about a second."""

    def __init__(self, foreign: Callable[[str], str]) -> None:
        """`foreign` gives the phonemes of a word in another script than Japan's."""
        import pyopenjtalk

        self._words: Any = pyopenjtalk.run_frontend
        self._foreign = foreign

    def phonemes(self, text: str) -> str:
        """Kokoro's phonemes, the words apart from each other."""
        out = ""
        for word in self._words(text):
            said = self._word(word)
            # A consonant is not parted from the stop before it, nor a vowel from its length, nor a mark from its word.
            if out and said and out[-1] not in "ʔ“(" and said[0] not in _JOINED:
                out += " "
            out += said
        return out

    def _word(self, word: Mapping[str, Any]) -> str:
        written = unicodedata.normalize("NFKC", word["string"])
        if word["mora_size"]:
            # Initials such as NHK are spelled in Japanese too; other words are not.
            if word["pos"] == _SPELLED and len(written) > 1 and written.isascii() and not written.isupper():
                return self._foreign(written)
            return kana.phonemes(word["pron"])
        if any(map(str.isalnum, written)):
            return self._foreign(written)
        marks = "".join(_MARKS.get(ch, unicodedata.normalize("NFKC", ch)) for ch in word["string"])
        return "".join(ch for ch in marks if ch in _KNOWN)
