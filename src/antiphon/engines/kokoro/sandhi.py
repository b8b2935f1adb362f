"""Sandhi: how the tones of 一, 不 and of third tones change before other tones."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_DIGITS = "零一二三四五六七八九"
_POWERS = "百千万亿"
#: 一 that numbers a thing, or ends a word, keeps its tone.
_ORDINAL = re.compile("[月号楼班级期环审等线]|点[零一二三四五六七八九](?![十分刻])|年级|中[^午间国心华]|季度|把手|战")
_ENDS = frozenset("第初统唯专之周期单逐划归")


def sandhi(words: Sequence[str], syllables: list[list[str]], known: Callable[[str], bool]) -> None:
    """Changes the tones of a run of words, in place. A syllable is pinyin with the number of its tone.

    `known`: whether a word is in the dictionary.
    """
    text = "".join(words)
    flat = [syllable for word in syllables for syllable in word]
    inner = set(_middles(words, known))
    for at, ch in enumerate(text):
        if ch == "不":
            flat[at] = _bu(text, flat, at, inner)
        elif ch == "一":
            flat[at] = _yi(text, flat, at)
    at = 0
    for word in syllables:
        word[:] = flat[at : at + len(word)]
        at += len(word)
    _thirds(words, syllables, known)


def _middles(words: Sequence[str], known: Callable[[str], bool]) -> list[int]:
    """Places in the middle of words of three characters, such as 对不起: there 不 has no tone."""
    found, at = [], 0
    for word in words:
        if len(word) == 3 and word[1] == "不" and known(word):
            found.append(at + 1)
        at += len(word)
    return found


def _bu(text: str, flat: Sequence[str], at: int, inner: set[int]) -> str:
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if at in inner or (after and before == after):
        return "bu5"
    return "bu2" if after and flat[at + 1][-1] == "4" else "bu4"


def _yi(text: str, flat: Sequence[str], at: int) -> str:
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if not after:
        return "yi1"
    if before == after and before not in _DIGITS:
        return "yi5"
    counts = after in _POWERS and before not in ("第", "十")
    if not counts and ((before and before in _DIGITS + _POWERS + "十点") or before in _ENDS or after in _DIGITS + "十"):
        return "yi1"
    if _ORDINAL.match(text, at + 1) or (before == "月" and after in "日号"):
        return "yi1"
    tone = flat[at + 1][-1]
    if tone == "5":
        return "yi2" if after == "个" else "yi1"
    return "yi2" if tone == "4" else "yi4"


def _thirds(words: Sequence[str], syllables: Sequence[list[str]], known: Callable[[str], bool]) -> None:
    """A third tone before another becomes a second tone: in each word first, then from the last word to the first."""
    next_third = False
    for word, tones in zip(reversed(words), reversed(syllables), strict=True):
        inner: Sequence[int] = range(len(tones) - 1)
        if len(tones) == 4:
            inner = (0, 2, 1)
        elif len(tones) == 3 and not known(word[:2]):
            # 小 + 老虎, not 展览 + 馆.
            inner = (1, 0)
        for at in inner:
            if _third(tones[at]) and _third(tones[at + 1]):
                tones[at] = tones[at][:-1] + "2"
        if next_third and _third(tones[-1]):
            tones[-1] = tones[-1][:-1] + "2"
        next_third = _third(tones[0])


def _third(syllable: str) -> bool:
    return syllable[-1] == "3"
