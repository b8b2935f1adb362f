"""Kana: turns katakana as it is pronounced into Kokoro's phonemes.

Kokoro's Japanese voices were trained on narrow IPA: palatal consonants carry a mark, u is ɨ after a sibilant, a
syllable-final n takes the place of articulation of what follows, and there are no accents.
"""

from __future__ import annotations

from collections.abc import Iterator

#: A line for each consonant: katakana, then its phonemes with a, i, u, e, o.
_ROWS = """
アイウエオ a i ɯ e o
カキクケコ ka kʲi kɯ ke ko
ガギグゲゴ ɡa ɡʲi ɡɯ ɡe ɡo
サシスセソ sa ɕi sɨ se so
ザジズゼゾ ʣa ʥi zɨ ʣe ʣo
タチツテト ta ʨi ʦɨ te to
ダヂヅデド da ʥi zɨ de do
ナニヌネノ na ɲi nɯ ne no
ハヒフヘホ ha çi ɸɯ he ho
バビブベボ ba bʲi bɯ be bo
パピプペポ pa pʲi pɯ pe po
マミムメモ ma mʲi mɯ me mo
ラリルレロ ɾa ɾʲi ɾɯ ɾe ɾo
ワヰヴヱヲ βa i vɯ e o
ヷヸヴヹヺ va vʲi vɯ ve vo
ヤユヨ ja jɯ jo
ヵヶ ka ke
"""
_MORAS = {
    kana: phonemes
    for letters, *row in map(str.split, _ROWS.strip().splitlines())
    for kana, phonemes in zip(letters, row, strict=True)
}
_VOWELS = frozenset("aiɯɨeo")
#: Consonants that are palatal without a mark.
_PALATAL = frozenset("ɕʥʨɲçj")
#: Small kana that change the mora before them, and the vowel that they give it.
_GLIDES = {"ャ": "a", "ュ": "ɨ", "ョ": "o"}
_SMALL = {"ァ": "a", "ィ": "i", "ゥ": "ɯ", "ェ": "e", "ォ": "o", "ヮ": "a"}
#: Consonants of moras of u whose vowel a small one replaces: ウィ is wi, クァ is kwa.
_ROUNDED = {"ウ": "β", "ク": "kᵝ", "グ": "ɡᵝ"}
_LONG, _STOP, _NASAL = "ー", "ッ", "ン"
#: What a syllable-final n becomes before the first letter of a phoneme.
_ASSIMILATED = {
    **dict.fromkeys("mpb", "m"), **dict.fromkeys("kɡ", "ŋ"), **dict.fromkeys("ɲʨʥ", "ɲ"), **dict.fromkeys("ntdɾz", "n"),
}  # fmt: skip


def phonemes(kana: str) -> str:
    """Kokoro's phonemes; what is not katakana is left out."""
    moras = list(_moras(kana))
    for at, mora in enumerate(moras):
        if mora == _NASAL:
            following = moras[at + 1][:1] if at + 1 < len(moras) else ""
            moras[at] = _ASSIMILATED.get(following, "ɴ")
    return "".join(moras)


def _moras(kana: str) -> Iterator[str]:
    at = 0
    while at < len(kana):
        letter, small = kana[at], kana[at + 1 : at + 2]
        at += 1
        if letter in _MORAS and (small in _GLIDES or small in _SMALL) and small:
            at += 1
            yield _joined(letter, small)
        elif letter == _NASAL:
            yield _NASAL
        elif letter == _STOP:
            yield "ʔ"
        elif letter == _LONG:
            yield "ː"
        elif (mora := _MORAS.get(letter) or _SMALL.get(letter) or _GLIDES.get(letter)) is not None:
            yield mora


def _joined(letter: str, small: str) -> str:
    """The mora of a kana and the small one after it, such as キャ, ティ and ファ."""
    consonant = _MORAS[letter].rstrip("aiɯɨeo")
    vowel = _GLIDES.get(small) or _SMALL[small]
    if letter == "イ":
        return f"j{vowel}"
    if small in _GLIDES or (vowel == "i" and letter in "テデツフヴ"):
        marked = not consonant or consonant[-1] in "ʲ" or consonant[-1] in _PALATAL
        return consonant + ("" if marked else "ʲ") + vowel
    if letter in _ROUNDED:
        return _ROUNDED[letter] + vowel
    return consonant + vowel
