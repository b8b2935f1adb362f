"""espeak-ng: turns text in Latin letters, and Hindi, into Kokoro's phonemes, as a dictionary of pronunciations."""

from __future__ import annotations

import ctypes
import re

#: espeak voice by the accent of a Kokoro voice.
ESPEAK = {
    "en-us": "gmw/en-US", "en-gb": "gmw/en", "es": "roa/es", "fr": "roa/fr", "it": "roa/it", "pt": "roa/pt-BR",
    "hi": "inc/hi",
}  # fmt: skip

# espeak writes IPA with a tie between the letters of one sound. Kokoro was trained on one letter for each diphthong and
# affricate, on one letter where English does not distinguish two sounds, and on American without length marks.
_COMMON = {"a^ɪ": "I", "a^ʊ": "W", "d^ʒ": "ʤ", "e^ɪ": "A", "t^ʃ": "ʧ", "ɔ^ɪ": "Y"}
_ENGLISH = _COMMON | {
    "ə^l": "ᵊl", "n̩": "ᵊn", "l̩": "ᵊl", "ɚ": "əɹ", "r": "ɹ", "ɐ": "ə", "x": "k", "ç": "k", "ɬ": "l",
    "ɾ": "T", "ʔ": "t", "e": "A", "o": "ɔ", "ʲ": "", "̃": "",
}  # fmt: skip
_AMERICAN = _ENGLISH | {"o^ʊ": "O", "ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ɪ^ə": "iə", "ɪə": "iə", "ː": ""}
_BRITISH = _ENGLISH | {"ə^ʊ": "Q", "e^ə": "ɛː", "i^ə": "ɪə", "iə": "ɪə"}
_ROMANCE = _COMMON | {"d^z": "ʣ", "t^s": "ʦ", "s^s": "S", "o^ʊ": "O", "ə^ʊ": "Q"}

#: Kokoro's mark for each punctuation mark. espeak never gets them.
_MARKS = {
    "«": "“", "»": "”", "[": "(", "]": ")", "{": "(", "}": ")", "–": "—", "¡": "", "¿": "",
    **{mark: mark for mark in ";:,.!?—…\"“”()"},
}  # fmt: skip
#: A mark between two letters or digits is part of the word: 3.5, 10:30, example.com.
_MARK = re.compile(r"[!?;¡¿—–…\"“”«»()\[\]{}]|[.,:](?!\w)")
#: Abbreviations whose full stop does not end a sentence.
_ABBREVIATION = re.compile(r"\b(Mr|Mrs|Ms|Dr|Prof|Sr|Jr|St|vs|No)\.(?=\s)")
_MONEY = re.compile(r"([$£€])(\d[\d,]*)(?:\.(\d\d)\b)?( (?:thousand|million|billion|trillion)\b)?")
_CURRENCY = {"$": "dollar", "£": "pound", "€": "euro"}
#: espeak's note that it reads a word in another language.
_SWITCH = re.compile(r"\([a-z-]+\)")

_UTF8 = 1
_IPA_TIED = 0x02 | 0x80 | ord("^") << 8
#: espeak's flags: deliver synchronously; do not end the process on an error.
_SYNCHRONOUS, _DONT_EXIT = 2, 0x8000


class Espeak:
    """The library. It keeps one state per process, so one thread at a time may use it."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library = library = ctypes.CDLL(espeakng_loader.get_library_path())
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
        data = espeakng_loader.get_data_path().encode()
        if library.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT) <= 0:
            raise RuntimeError(f"espeak-ng does not start with its data in {data.decode()}")
        self._accent = ""

    def phonemes(self, text: str, accent: str) -> str:
        """Kokoro's phonemes of the text, with its punctuation in place. `accent` is a key of `ESPEAK`."""
        if accent.startswith("en"):
            text = _MONEY.sub(_amount, _ABBREVIATION.sub(r"\1", text))
        out, at = [], 0
        for mark in _MARK.finditer(text):
            out += [self._words(text[at : mark.start()], accent), _MARKS[mark[0]]]
            at = mark.end()
        return "".join((*out, self._words(text[at:], accent)))

    def _words(self, text: str, accent: str) -> str:
        """Phonemes of a piece without punctuation, with the space around it."""
        words = text.strip()
        if not words:
            return " " if text else ""
        before, after = " " * (text[0].isspace()), " " * (text[-1].isspace())
        return before + _translate(self._ipa(words, accent), accent) + after

    def _ipa(self, words: str, accent: str) -> str:
        if accent != self._accent:
            if self._library.espeak_SetVoiceByName(ESPEAK[accent].encode()) != 0:
                raise RuntimeError(f"espeak-ng has no voice {ESPEAK[accent]}")
            self._accent = accent
        rest = ctypes.pointer(ctypes.c_char_p(words.encode("utf-8", "replace")))
        clauses = []
        while rest.contents.value is not None:
            clause = self._library.espeak_TextToPhonemes(rest, _UTF8, _IPA_TIED)
            clauses.append(clause.decode("utf-8", "replace").strip() if clause else "")
        return _SWITCH.sub("", " ".join(clauses))


def _amount(found: re.Match[str]) -> str:
    """An amount such as `$3.50` in the order of speech; espeak would read the sign first."""
    sign, whole, cents, scale = found.groups(default="")
    unit = _CURRENCY[sign] + ("" if whole == "1" and not scale else "s")
    return f"{whole}{scale} {unit}" + (f" {cents}" if cents.strip("0") else "")


def _translate(ipa: str, accent: str) -> str:
    table = _TABLES.get(accent, _ROMANCE)
    pattern = _PATTERNS.get(accent, _ROMANCE_PATTERN)
    return pattern.sub(lambda found: table[found[0]], ipa).replace("^", "").replace("-", "")


def _pattern(table: dict[str, str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(table, key=len, reverse=True))))


_TABLES = {"en-us": _AMERICAN, "en-gb": _BRITISH}
_PATTERNS = {accent: _pattern(table) for accent, table in _TABLES.items()}
_ROMANCE_PATTERN = _pattern(_ROMANCE)
