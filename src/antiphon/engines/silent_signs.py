"""Silent signs: which characters an engine has no sound for, found out by asking it once.

Numbers in circles, in other scripts and of other kinds are letters to Unicode and to our texts, and most are nothing to
an engine. Which ones differs between versions of its dictionaries, so no list of ours would stay true.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

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


def by_language(readers: Mapping[str, Sequence[Callable[[str], bool]]]) -> tuple[str, dict[str, str]]:
    """The signs that are silent in every language, and by language those that are silent in it and not in every one."""
    each = {language: silent(asked) for language, asked in readers.items()}
    everywhere = frozenset.intersection(*map(frozenset, each.values()))
    further = {name: "".join(sign for sign in signs if sign not in everywhere) for name, signs in each.items()}
    return "".join(sign for sign in NUMBERS if sign in everywhere), {name: s for name, s in further.items() if s}


def _silent(sounds: Callable[[str], bool], signs: list[str]) -> list[str]:
    if not signs or not sounds(" ".join(signs)):
        return signs
    if len(signs) == 1:
        return []
    middle = len(signs) // 2
    return _silent(sounds, signs[:middle]) + _silent(sounds, signs[middle:])
