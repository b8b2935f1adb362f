"""Silent signs: which characters an engine has no sound for, found out by asking it once.

Numbers in circles, in other scripts and of other kinds are letters to Unicode and to our texts, and most are nothing to
an engine. Which ones differs between versions of its dictionaries, so no list of ours would stay true.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable

#: Signs that stand for numbers, such as ① and Ⅳ; not the decimal digits of other scripts, which some readers translate.
NUMBERS = [chr(code) for code in range(128, 0x10000) if unicodedata.category(chr(code)) in ("No", "Nl")]


def silent(readers: Iterable[Callable[[str], bool]], signs: list[str] | None = None) -> str:
    """The signs of which none of an engine's `readers`, one for each of its languages, makes a sound.

    A reader says whether it makes a sound of a text. Most signs are silent together, so a few hundred questions answer
    for all; the reader of the first language leaves few questions to the others."""
    left = NUMBERS if signs is None else signs
    for reader in readers:
        left = _silent(reader, left)
    return "".join(left)


def _silent(sounds: Callable[[str], bool], signs: list[str]) -> list[str]:
    if not signs or not sounds(" ".join(signs)):
        return signs
    if len(signs) == 1:
        return []
    middle = len(signs) // 2
    return _silent(sounds, signs[:middle]) + _silent(sounds, signs[middle:])
