"""What a text is before it is keyed and spoken."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.text.normalise import MAX_RUBBLE, clean, log_text

#: Texts with more of what `clean` works on than chance would give.
PIECES = (
    *("a", "Z", "7", "_", "好", "é", "e\u0301", "\u0301", "\u0338", "=", "!", "。", ".", ",", "-", " ", "  ", "\t"),
    *("\n", "\r\n", "\r", "\n\n\n", "\u2028", "\u2029", "\u00a0", "\u3000", "\u200b", "\u200d", "\ufe0f", "\ufeff"),
    *("\x00", "\x1b[31m", "\x85", "\u202e", "\ud800", "\udfff", "\u1100", "\u1161"),
    *("😀", "1\ufe0f\u20e3", "🇪🇸", "👩\u200d👧", "★", "\ue000"),
)
TROUBLE = st.lists(
    st.one_of(st.sampled_from(PIECES), st.text(max_size=4), st.sampled_from("=-.!_*~").map(lambda mark: mark * 60))
).map("".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text", "plain text"),
        ("", ""),
        (" \n\t ", ""),
        ("cafe\u0301", "café"),
        ("a\tb", "a b"),
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("a \n \n b", "a\n\nb"),
        ("a\u2028b\u2029c\x85d\x0ce", "a\nb\n\nc\nd\ne"),
        ("a\u00a0\u2003 \u3000b", "a b"),
        ("nul\x00l and \x1b[31mred", "null and [31mred"),
        ("zero\u200bwidth soft\u00adhyphen \ufeffmark", "zerowidth softhyphen mark"),
        ("left\u202eright\u2066x\u2069", "leftrightx"),
        ("lone \ud83d surrogate \udc00", "lone surrogate"),
        ("blank letters \u3164\u115f\uffa0", "blank letters"),
        # Pictographs go and words stay apart.
        ("good😀morning", "good morning"),
        ("Well done 🎉🎉!", "Well done!"),
        ("太好了😀。走吧", "太好了。走吧"),
        ("👨\u200d👩\u200d👧 family", "family"),
        ("1\ufe0f\u20e32\ufe0f\u20e3 go 🇺🇸now ❤\ufe0f", "1 2 go now"),
        ("👍🏽", ""),
        ("icon \ue001 font", "icon font"),
        # What is spoken stays.
        ("① 3½ m² © 2024 ™ €5 50% a→b", "① 3½ m² © 2024 ™ €5 50% a→b"),
        ("नमस्ते สวัสดีครับ שָׁלוֹם", unicodedata.normalize("NFC", "नमस्ते สวัสดีครับ שָׁלוֹם")),
        (
            "3.14 $5.99 10:30 v2.5.1 a@b.org https://x.org/a_b?c=d",
            "3.14 $5.99 10:30 v2.5.1 a@b.org https://x.org/a_b?c=d",
        ),
        # Decoration is cut down, so that no segment has to be made of it.
        ("Stop!!!!!!!!", "Stop!!!"),
        ("a\n\n----------\n\nb", "a\n\n---\n\nb"),
        ("wait...... what", "wait... what"),
        ("a " + "!?" * 300 + " b", "a " + "!?" * 18 + "! b"),
        ("a" + "- " * 40 + "b", "a" + "- " * 19 + "b"),
        ("a" + "-+" * 30 + "\n\n" + "-+" * 30 + "b", "a" + "-+" * 19 + "\n\nb"),
    ],
)
def test_clean(text: str, expected: str) -> None:
    assert clean(text) == expected


@given(TROUBLE)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(TROUBLE)
def test_a_clean_text_keeps_its_promises(text: str) -> None:
    cleaned = clean(text)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert cleaned == cleaned.strip()
    cleaned.encode("utf-8")
    assert not re.search(r"[^\S\n ]|  |\n\n\n| \n|\n ", cleaned)
    assert not {unicodedata.category(ch) for ch in cleaned.replace("\n", "")} & {"Cc", "Cs", "Co"}
    assert all(len(run) <= MAX_RUBBLE for run in re.findall(r"[\W_]+", cleaned))


@given(st.text(st.characters(categories=["Ll", "Lu", "Nd"], max_codepoint=0x2FF), max_size=40))
def test_words_are_left_alone(text: str) -> None:
    assert clean(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    "piece", ["Hello, world. ", "你好，世界。", "a😀", "e\u0301", "a \t\r\n", "\u0301", "!?", "\x00", " "]
)
def test_a_million_characters_are_cleaned_quickly(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    began = time.perf_counter()
    clean(text)
    # About 0.1 s; what this must catch is a quadratic pattern, which takes minutes.
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("x" * 50, 30, "x" * 30),
        ("short", 30, "short"),
        ("secret", 0, ""),
        ('a\n{"level":"error"}', 30, 'a {"level":"error"}'),
        ("a\r\x1b[2Jb\u202ec\u2028d", 30, "a  [2Jb c d"),
        ("好" * 40, 30, "好" * 30),
        ("\ud800x", 30, " x"),
    ],
)
def test_log_text(text: str, limit: int, expected: str) -> None:
    assert log_text(text, limit) == expected


@given(st.text(), st.integers(0, 60))
def test_log_text_is_one_short_line(text: str, limit: int) -> None:
    shown = log_text(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
