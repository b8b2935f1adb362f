"""How Chinese is read: tests/cases/reading_zh.tsv, and what holds for any text."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.reading import chinese, reader
from antiphon.reading.chinese.mixed import foreign
from antiphon.reading.chinese.numbers import digits, number
from antiphon.reading.reader import read
from antiphon.reading.said import Said, apply
from tests.readings import word

CASES = Path(__file__).parents[1] / "cases" / "reading_zh.tsv"
ROWS = [
    tuple(line.split("\t"))
    for line in CASES.read_text("utf-8").splitlines()
    if not line.startswith(("# text", "# the", "# more"))
]


def heard(text: str) -> str:
    """What is compared: letters and digits, with one name for the digit one."""
    return "".join(ch for ch in text if ch.isalnum()).replace("幺", "一").lower()


@pytest.mark.parametrize(("text", "right"), ROWS, ids=[row[0] for row in ROWS])
def test_a_text_is_said_as_a_person_says_it(text: str, right: str) -> None:
    assert heard(read(text, "zh").text) in map(heard, right.split(" | ")), read(text, "zh").text


@pytest.mark.parametrize(
    "text",
    [
        "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。",
        "他一心一意，三言两语就说完了；不管三七二十一。",
        "“你好，”她说，“今天——怎么样？”",
        "北京-上海，C++，AI+教育，T恤，K歌。",
        "看3D电影，用C语言。",
        "They met in the park. 他们见面了。",
    ],
)
def test_plain_text_is_said_as_it_is_written(text: str) -> None:
    assert read(text, "zh").text == text


@pytest.mark.parametrize(
    ("text", "said", "written"),
    [
        ("票价¥99.9元，很贵", "九十九点九元", "¥99.9元"),
        ("票价¥99.9元，很贵", "很贵", "很贵"),
        ("时速36km/h吗", "千米每小时", "km/h"),
        ("第１２３号", "一百二十三", "１２３"),
        ("第1-3章", "到", "-"),
        ("气温-5℃", "零下五摄氏度", "-5℃"),
        ("Then he left. 共5人", "五", "5"),
    ],
)
def test_words_keep_their_places(text: str, said: str, written: str) -> None:
    assert word(read(text, "zh"), said) == written


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "零"), ("10", "十"), ("110", "一百一十"), ("1001", "一千零一"), ("1010", "一千零一十"), ("10000", "一万"),
        ("20000000", "两千万"), ("100001", "十万零一"), ("1234567890123456", "一千二百三十四万五千六百七十八亿九千零一十二万三千四百五十六"),
        ("12345678901234567", "一二三四五六七八九零一二三四五六七"), ("007", "零零七"), ("1,234.50", "一千二百三十四点五零"),
    ],
)  # fmt: skip
def test_numbers(text: str, said: str) -> None:
    assert number(text) == said


def test_a_telephone_says_its_ones_otherwise() -> None:
    assert digits("110", phone=True) == "幺幺零"
    assert read("电话13800138000", "zh").text == "电话幺三八零零幺三八零零零"


def test_sentences_in_latin_letters_are_left_to_english() -> None:
    text = "他说 I have 3 cats 就走了，iPhone 15 也带走了。He paid for it in 2024. 共2个"
    assert [text[start:end] for start, end in foreign(text)] == ["I have 3 cats", "He paid for it in 2024."]
    text = "详见https://example.com/2024，写信给li.2@example.com。"
    assert [text[start:end] for start, end in foreign(text)] == ["https://example.com/2024", "li.2@example.com"]


def test_chinese_in_english_text_is_read_in_chinese() -> None:
    assert (
        read("She said 我有2只猫，3-4天, and left in 24 hours.", "en").text
        == "She said 我有两只猫，三到四天, and left in twenty four hours."
    )
    assert read("No Chinese here.", "en").text == "No Chinese here."


RULES = {
    f"{module}.{name}": rule
    for module in ("characters", "codes", "counting", "dates", "latin", "money", "ranges", "sums", "units")
    for name, rule in vars(getattr(chinese, module)).items()
    if rule in (*chinese.CHARACTERS, *chinese.RULES)
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_is_taken_out_is_missed_by_a_row(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken_out(text: str) -> list[Said]:
        return []

    touched = [
        (text, right)
        for text, right in ROWS
        if any(True for _ in RULES[name](apply(text, chinese.CHARACTERS[:1]).text))
    ]
    if name.startswith("characters"):
        touched = [(text, right) for text, right in ROWS if any(True for _ in RULES[name](text))]
    for part in ("CHARACTERS", "RULES"):
        left = [taken_out if rule is RULES[name] else rule for rule in getattr(chinese, part)]
        monkeypatch.setattr(chinese, part, tuple(left))
    monkeypatch.setattr(reader, "RULES", {**reader.RULES, "zh": chinese.RULES})
    assert any(heard(read(text, "zh").text) not in map(heard, right.split(" | ")) for text, right in touched)


def test_every_rule_has_a_name() -> None:
    assert len(RULES) == len({id(rule) for rule in (*chinese.CHARACTERS, *chinese.RULES)})


PIECES = st.one_of(
    st.sampled_from(
        [*"0123456789.-/:,+×=%℃¥$~年月日个的第 ABkmx()①Ⅳ々²", "km/h", "138", "2024", "他", "电话", "hello "]
    ),
    st.characters(),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join))
def test_any_text_is_read_whole_and_in_order(text: str) -> None:
    reading = read(text, "zh")
    assert reading.written == text
    assert len(reading.text) == len(reading.starts) == len(reading.ends)
    assert sorted(reading.starts) == list(reading.starts)
    assert all(0 <= start < end <= len(text) for start, end in zip(reading.starts, reading.ends, strict=True))
    assert not any(ch.isascii() and ch.isdigit() for ch in reading.text) or any(
        ch.isascii() and ch.isalpha() for ch in text
    )


@pytest.mark.parametrize(
    "piece",
    [
        "他在2024-05-03花了¥1,234.5买2个。",
        "1-",
        "1:",
        "1+",
        "1.",
        "1,",
        "1/",
        "1",
        "A1",
        "电话",
        "电话 1",
        "-5~",
        "a ",
        "1 ",
        "(",
        "²",
        "1%-",
        "hello 1 ",
    ],
)
def test_time_grows_with_the_text(piece: str) -> None:
    def cost(length: int) -> float:
        text = piece * (length // len(piece))
        best = float("inf")
        for _ in range(2):
            start = time.thread_time()
            read(text, "zh")
            best = min(best, time.thread_time() - start)
        return best

    # A quadratic rule takes 16 times as long for four times the text; the bound leaves room for a busy machine.
    assert cost(4_000) < 9 * cost(1_000) + 0.02
