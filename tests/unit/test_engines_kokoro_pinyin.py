"""How Kokoro's Chinese is pronounced: tests/cases/polyphones_zh.tsv, by jieba and pypinyin as the engine uses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.engines.kokoro.polyphones import told
from antiphon.engines.kokoro.sandhi import sandhi

pytest.importorskip("jieba")

from antiphon.engines.kokoro.chinese import Chinese

CASES = Path(__file__).parents[1] / "cases" / "polyphones_zh.tsv"
ROWS = [line.split("\t") for line in CASES.read_text("utf-8").splitlines() if not line.startswith("#")]


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Chinese:
    return Chinese(tmp_path_factory.mktemp("jieba"))


def test_characters_are_said_as_what_is_around_them_asks(chinese: Chinese) -> None:
    wrong = []
    for text, place, pinyin in ROWS:
        syllables = [syllable for word in chinese.pinyin(text) for syllable in word]
        assert len(syllables) == len(text)
        if syllables[int(place) - 1] != pinyin:
            wrong.append((text, place, pinyin, syllables))
    assert wrong == []


def tones(words: str, pinyin: str) -> str:
    """What sandhi makes of words and syllables that stand apart by blanks and strokes; all words are known."""
    syllables = [word.split() for word in pinyin.split("/")]
    sandhi(words.split("/"), syllables, lambda word: word not in ("小老",))
    return "/".join(map(" ".join, syllables))


@pytest.mark.parametrize(
    ("words", "pinyin", "said"),
    [
        ("我/很/好", "wo3/hen3/hao3", "wo3/hen2/hao3"),
        ("展览馆", "zhan3 lan3 guan3", "zhan2 lan2 guan3"),
        ("小/老虎", "xiao3/lao3 hu3", "xiao3/lao2 hu3"),
        ("水果/好", "shui3 guo3/hao3", "shui2 guo2/hao3"),
        ("看/一/看", "kan4/yi1/kan4", "kan4/yi5/kan4"),
        ("一/二/三", "yi1/er4/san1", "yi1/er4/san1"),
        ("一百/一十/一", "yi1 bai3/yi1 shi2/yi1", "yi4 bai3/yi1 shi2/yi1"),
        ("第一/次", "di4 yi4/ci4", "di4 yi1/ci4"),
        ("去/不/去", "qu4/bu4/qu4", "qu4/bu5/qu4"),
        ("不/对", "bu4/dui4", "bu2/dui4"),
        ("对不起", "dui4 bu4 qi3", "dui4 bu5 qi3"),
        ("不", "bu4", "bu4"),
    ],
)
def test_tones_change_before_other_tones(words: str, pinyin: str, said: str) -> None:
    assert tones(words, pinyin) == said


def test_only_what_stands_in_the_table_is_told() -> None:
    assert list(told("今天天气很好")) == []
    assert list(told("记得还钱")) == [(2, "huan2")]


def test_er_at_the_end_of_a_word_is_left_alone(chinese: Chinese) -> None:
    assert chinese.pinyin("花儿") == [["hua1", "er2"]]
