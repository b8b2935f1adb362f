"""Graphemes to phonemes: splits text in any mix of Kokoro's languages by script, for espeak and two dictionaries."""

from __future__ import annotations

import re
import unicodedata
from functools import partial
from pathlib import Path

from antiphon.engines.kokoro import hindi, japanese
from antiphon.engines.kokoro.chinese import Chinese
from antiphon.engines.kokoro.espeak import Espeak
from antiphon.engines.kokoro.japanese import Japanese

#: Languages that this module reads; Japanese where its library is installed.
LANGUAGES = ("en", "zh", "es", "fr", "it", "pt", "hi", "ja")

_HAN = r"\u3400-\u9fff\uf900-\ufaff〇"
_HAS_HAN = re.compile(f"[{_HAN}]")
_HAS_KANA = re.compile("[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9d]")
_CJK_MARKS = "，。！？；：、（）《》〈〉「」『』【】…—～·"
#: In Chinese text: Latin words, with the digits between them. Digits elsewhere are read in Chinese.
_WORD = r"[A-Za-zÀ-ɏ]+(?:['’-][A-Za-zÀ-ɏ]+)*"
_LATIN_RUN = re.compile(rf"{_WORD}(?:[ \t]*[-&+/.,]?[ \t]*(?:\d[\d.,]*[ \t-]*)?{_WORD})*")
#: In other text: Chinese characters with their punctuation.
_HAN_RUN = re.compile(rf"[{_HAN}](?:[{_HAN}{_CJK_MARKS}\s]*[{_HAN}{_CJK_MARKS}])?")

_CLOSING = re.compile(r"\s*([,.;:!?…)”]+)\s*")
_OPENING = re.compile(r"\s*([(“])\s*")
_DASH = re.compile(r"\s*—+\s*")
_ELLIPSIS = re.compile(r"…{2,}|\.{3,}")
_SPACE = re.compile(r"\s+")


def languages() -> tuple[str, ...]:
    """Languages that can be read here."""
    return LANGUAGES if japanese.installed() else tuple(each for each in LANGUAGES if each != "ja")


class G2P:
    """Builds the parts for Chinese and Japanese when they are first needed; `warm` builds that for Chinese early."""

    def __init__(self, cache: Path) -> None:
        self._cache, self._espeak = cache, Espeak()
        self._chinese: Chinese | None = None
        self._japanese: Japanese | None = None

    def warm(self) -> None:
        self.phonemes("Hello, 你好。", "zh", "en-us")

    def phonemes(self, text: str, language: str, accent: str, *, pinyin: bool = False) -> str:
        """Kokoro's phonemes. `language` is one of `LANGUAGES`; `accent` is that of English, `en-us` or `en-gb`;
        `pinyin`: Chinese as people write its sounds."""
        text = _plain(text)
        if language == "ja":
            return _tidy(self._in_japanese(text))
        if language == "hi":
            return _tidy(hindi.phonemes(text, self._in_hindi, self._foreign))
        latin = accent if language in ("en", "zh") else language
        if language == "zh":
            return _tidy(self._runs(text, _LATIN_RUN, latin, chinese_is_match=False, pinyin=pinyin))
        if _HAS_HAN.search(text):
            return _tidy(self._runs(text, _HAN_RUN, latin, chinese_is_match=True, pinyin=pinyin))
        return _tidy(self._espeak.phonemes(text, latin))

    def _in_japanese(self, text: str) -> str:
        if self._japanese is None:
            self._japanese = Japanese(self._foreign)
        return self._japanese.phonemes(text)

    def _in_hindi(self, text: str) -> str:
        return self._espeak.phonemes(text, "hi")

    def _foreign(self, text: str) -> str:
        """Phonemes of words in Japanese or Hindi text that are neither."""
        if not text.strip():
            return text
        if hindi.HINDI.fullmatch(text):
            return self._in_hindi(text)
        if _HAS_KANA.search(text) and japanese.installed():
            return self._in_japanese(text)
        if _HAS_HAN.search(text):
            return self._runs(text, _HAN_RUN, "en-us", chinese_is_match=True, pinyin=False)
        return self._espeak.phonemes(text, "en-us")

    def _runs(self, text: str, pattern: re.Pattern[str], latin: str, *, chinese_is_match: bool, pinyin: bool) -> str:
        out, at = [], 0
        read = partial(self._read, latin=latin, pinyin=pinyin)
        for found in pattern.finditer(text):
            out.append(read(text[at : found.start()], chinese=not chinese_is_match))
            out.append(read(found[0], chinese=chinese_is_match))
            at = found.end()
        out.append(read(text[at:], chinese=not chinese_is_match))
        # Without a space between the languages their words run together.
        return " ".join(run for run in out if run)

    def _read(self, run: str, *, latin: str, pinyin: bool, chinese: bool) -> str:
        if not run.strip():
            return ""
        if not chinese:
            return self._espeak.phonemes(run, latin)
        if self._chinese is None:
            self._chinese = Chinese(self._cache)
        return self._chinese.spelled(run) if pinyin else self._chinese.phonemes(run)


def _plain(text: str) -> str:
    """The text without control and format characters, some of which are commands to espeak."""
    return "".join(
        ch if (kind := unicodedata.category(ch)) not in ("Cc", "Cf", "Cs") else " " * (kind == "Cc") for ch in text
    )


def _tidy(phonemes: str) -> str:
    """Phonemes with punctuation next to the word before it and apart from the next one, as in the training texts."""
    phonemes = _DASH.sub(" — ", phonemes)
    phonemes = _ELLIPSIS.sub("…", phonemes)
    phonemes = _CLOSING.sub(r"\1 ", phonemes)
    phonemes = _OPENING.sub(r" \1", phonemes)
    return _SPACE.sub(" ", phonemes).strip()
