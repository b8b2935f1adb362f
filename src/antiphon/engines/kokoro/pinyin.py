"""Pinyin: the syllables of Chinese words, with polyphones by what is around them and with tone sandhi."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from antiphon.engines.kokoro.polyphones import told
from antiphon.engines.kokoro.sandhi import sandhi

#: Before 得 (must), and nothing that can be done well or badly.
_BEFORE_MUST = frozenset("我你您他她它咱们谁家人就也还都总必非可只又才真便仍却须该天点这那")
#: After 得 of a complement: degrees.
_DEGREE = frozenset("很太更最非多极不好快慢早晚清像那跟连")
#: After 得 that is to get.
_GOT = frozenset("了到奖分第病罪过知出胜意失益逞手冠")
#: With 得 after them, words of getting, or other words in which it has its tone.
_GETTING = frozenset("得获取赢求难心所博夺应贪自独习既只总非就也还都必我你他她不")
#: Kinds of words that can be done well or badly: verbs, adjectives, states. The dictionary has 高兴 under b.
_DOING = ("v", "a", "z", "b")
#: After the particle 地 comes what is done; after 地, the ground, a place.
_PLACE = frozenset("上下里中区方面点段处势图铁球址位板毯")


def kinds(lines: Iterable[bytes]) -> dict[str, str]:
    """Words of one and two characters of jieba's dictionary, with "
    "the letter of their kind: v, a, n, d, r and others."""
    found = {}
    for line in lines:
        word, _, kind = line.decode("utf-8").split(" ", 2)
        if len(word) <= 2:
            # Under zg stands what was not sorted.
            found[word] = "" if kind.startswith("zg") else kind[0]
    return found


class Pinyin:
    def __init__(self, kinds: Mapping[str, str], known: Callable[[str], bool]) -> None:
        """`kinds`: the kind of words of one and two characters; `known`: whether jieba's dictionary has a word."""
        self._kinds, self._known = kinds, known

    def syllables(self, words: Sequence[str]) -> list[list[str]]:
        """Pinyin with tone numbers (5 is none) for a run of words without punctuation between them."""
        found = [_of_word(word) for word in words]
        run = "".join(words)
        places = [(word, at) for word, syllables in enumerate(found) for at in range(len(syllables))]
        for place, pinyin in (*told(run), *self._particles(words, run)):
            word, at = places[place]
            found[word][at] = pinyin
        sandhi(words, found, self._known)
        return found

    def _particles(self, words: Sequence[str], run: str) -> Iterable[tuple[int, str]]:
        """得 and 地 that stand alone, or in a word that the dictionary does not have."""
        at = 0
        for word in words:
            free = len(word) == 1 or not self._known(word)
            for place, ch in enumerate(word, at):
                if ch == "地" and free and self._is_particle(run, place):
                    yield place, "de5"
                elif ch == "得" and free:
                    yield place, self._de(run, place)
                elif ch == "得" and (
                    (len(word) == 3 and place == at + 1 and word[0] != "不")
                    or (len(word) == 2 and word[0] not in _GETTING)
                ):
                    yield place, "de5"
            at += len(word)

    def _de(self, run: str, at: int) -> str:
        before, after = run[at - 1 : at], run[at + 1 : at + 2]
        owner = not before or before in _BEFORE_MUST or run[max(at - 2, 0) : at][:1] in ("这", "那")
        if not owner and (
            self._kind_before(run, at) in _DOING or after in _DEGREE or self._kinds.get(after) in ("a", "z")
        ):
            return "de5"
        if not after:
            return "de5" if before else "de2"
        return "de2" if after in _GOT else "dei3"

    def _is_particle(self, run: str, at: int) -> bool:
        before, after = run[max(at - 4, 0) : at], run[at + 1 : at + 2]
        if len(before) < 2 or not after or after in _PLACE:
            return False
        twice = before[:2] == before[2:] or any(one == other for one, other in pairwise(before[-3:]))
        kind = self._kinds.get(before[-2:], "")
        # The dictionary has 安静 among the nouns: what is done after it tells.
        manner = kind in (*_DOING, "d", "i", "l") or (kind == "n" and self._kinds.get(after) == "v")
        return twice or manner or (len(before) == 4 and self._known(before))

    def _kind_before(self, run: str, at: int) -> str:
        return self._kinds.get(run[:at][-2:]) or self._kinds.get(run[:at][-1:], "")


def _of_word(word: str) -> list[str]:
    from pypinyin import Style, lazy_pinyin

    found = list(lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True))
    if len(found) != len(word):
        found = [lazy_pinyin(ch, style=Style.TONE3, neutral_tone_with_five=True)[0] for ch in word]
    return found
