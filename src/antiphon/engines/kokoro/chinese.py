"""Chinese: turns text into Kokoro's phonemes; numbers as they are read aloud, words by jieba, phonemes by misaki."""

from __future__ import annotations

import contextlib
import logging
import re
import unicodedata
import warnings
from pathlib import Path
from typing import Any

from antiphon.engines.kokoro.pinyin import Pinyin, kinds

_DIGITS = "零一二三四五六七八九"
#: Full-width letters, and a zero that Unicode does not count as a digit.
_WIDE = {ord("〇"): ord("零")} | {code: code - 0xFEE0 for a in (0xFF21, 0xFF41) for code in range(a, a + 26)}

_DATE = re.compile(r"(?<!\d)(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?!\d)")
_TIME = re.compile(r"(?<![\d:：])(\d{1,2})[:：](\d{2})(?![\d:：])整?")
_RANGE = re.compile(r"(?<![\d.-])(\d{1,4})\s*[-~～–—]\s*(\d{1,4})(?![\d-])")
_MONEY = re.compile(r"([￥¥$＄€£])\s*(\d[\d,]*(?:\.\d+)?)\s*([万亿]?)")
_CURRENCY = {"￥": "元", "¥": "元", "$": "美元", "＄": "美元", "€": "欧元", "£": "英镑"}
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
#: Telephone numbers and codes, which are read digit by digit.
_SPELLED = re.compile(r"(?<![\d.])(?:0\d+|\d{9,})(?![\d.])")
_DIGIT = re.compile(r"\d")
_RUN = re.compile("([\u4e00-\u9fff]+)")
#: The sign under a syllable that misaki's phonemes leave out.
_SYLLABIC = "\u032f"

#: Punctuation that misaki does not translate.
_MARKS = str.maketrans({"『": "“", "』": "”", "〈": "“", "〉": "”", "～": "—", "·": " ", "-": " "})


class Chinese:
    """Holds jieba's dictionary. Building it takes a second or two."""

    def __init__(self, cache: Path) -> None:
        """`cache` is the directory for jieba's compiled dictionary; only the server may be able to write to it."""
        import jieba

        # jieba logs a line at every start, and a traceback where the directory is read-only.
        jieba.setLogLevel(logging.CRITICAL)
        jieba.dt.tmp_dir = str(cache)
        from misaki.zh import ZHG2P

        jieba.initialize()
        self._g2p: Any = ZHG2P
        self._words: Any = jieba.lcut
        with jieba.dt.get_dict_file() as lines:
            self._pinyin = Pinyin(kinds(lines), lambda word: bool(jieba.dt.FREQ.get(word)))

    def phonemes(self, text: str) -> str:
        """Kokoro's phonemes. Drops all but Chinese and punctuation; the caller passes no Latin letters."""
        text = self._g2p.map_punctuation(spoken(text).translate(_MARKS))
        # Every second part is a run of Chinese.
        parts = [self._run(part) if at % 2 else part for at, part in enumerate(_RUN.split(text))]
        return "".join(parts).replace(_SYLLABIC, "")

    def spelled(self, text: str) -> str:
        """Pinyin with tone numbers; drops what `phonemes` drops."""
        text = self._g2p.map_punctuation(spoken(text).translate(_MARKS))
        parts = [
            " ".join(syllable for word in self.pinyin(part) for syllable in word) if at % 2 else part
            for at, part in enumerate(_RUN.split(text))
        ]
        return "".join(parts)

    def pinyin(self, run: str) -> list[list[str]]:
        """Pinyin with tone numbers for each word of a run of Chinese characters."""
        return self._pinyin.syllables(self._words(run))

    def _run(self, run: str) -> str:
        return " ".join("".join(map(self._ipa, word)) for word in self.pinyin(run))

    def _ipa(self, syllable: str) -> str:
        try:
            return str(self._g2p.py2ipa(syllable))
        except Exception:
            # A character without pinyin, or whose syllable misaki does not know, is silent.
            return ""


def spoken(text: str) -> str:
    """The text with its numbers written as they are read aloud."""
    import cn2an  # type: ignore[import-untyped]

    text = "".join(str(unicodedata.decimal(ch)) if ch.isdecimal() else ch for ch in text.translate(_WIDE))
    text = _DATE.sub(lambda m: f"{_spell(m[1])}年{int(m[2])}月{int(m[3])}日", text)
    text = _TIME.sub(lambda m: f"{int(m[1])}点" + ("整" if m[2] == "00" else f"{_minutes(m[2])}分"), text)
    text = _MONEY.sub(lambda m: f"{m[2]}{m[3]}{_CURRENCY[m[1]]}", text)
    text = _GROUPED.sub("", text)
    text = _RANGE.sub(r"\1到\2", text)
    text = _SPELLED.sub(lambda m: _spell(m[0]), text)
    # Warns or raises for figures that it cannot read as numbers; they are spelled below.
    with contextlib.suppress(ValueError), warnings.catch_warnings(action="ignore"):
        text = str(cn2an.transform(text, "an2cn"))
    return _DIGIT.sub(lambda m: _spell(m[0]), text)


def _minutes(digits: str) -> str:
    return f"零{int(digits)}" if digits[0] == "0" else digits


def _spell(digits: str) -> str:
    return "".join(_DIGITS[int(digit)] for digit in digits)
