"""Reading: turns text into the phonemes of a voice, in pieces that its network can take at once."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

#: Most phonemes that are computed at once, some forty seconds; a sentence of more is split between words.
MOST = 500
#: Joiners decide about the letters around them in Persian and in the scripts of India.
_JOINERS = "\u200c\u200d"
#: `[[…]]` would be phonemes.
_BRACKETS = str.maketrans("[]", "()")


def plain(text: str) -> str:
    """The text without what is a command to the reader: control and format characters, and brackets."""
    return "".join(map(_plain, text)).translate(_BRACKETS)


def _plain(ch: str) -> str:
    kind = unicodedata.category(ch)
    if kind == "Cc":
        return " "
    return "" if kind in ("Cf", "Cs", "Co", "Cn") and ch not in _JOINERS else ch


def sentences(voice: Any, text: str) -> Iterator[list[str]]:
    """Phonemes of each sentence that makes a sound, without those that the voice does not know."""
    known = voice.config.phoneme_id_map
    for phonemes in voice.phonemize(plain(text)):
        if any(phoneme in known and _sounds(phoneme) for phoneme in phonemes):
            yield from pieces([phoneme for phoneme in phonemes if phoneme in known])


def _sounds(phoneme: str) -> bool:
    """Whether it is a sound: not a mark of stress, length or punctuation."""
    return unicodedata.category(phoneme[0]) in ("Ll", "Lu", "Lo", "Lt")


def pieces(phonemes: list[str], most: int = MOST) -> Iterator[list[str]]:
    """The phonemes in pieces of at most `most`, which end between words where there are any."""
    start = 0
    while len(phonemes) - start > most:
        space = next((at for at in range(start + most, start + most // 2, -1) if phonemes[at] == " "), start + most)
        yield phonemes[start:space]
        start = space
    yield phonemes[start:]
