"""How English is read: tests/cases/reading_en.tsv and reading_en_kept.tsv, and what holds for any text."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.reading import markup
from antiphon.reading.english import words
from antiphon.reading.english.rules import RULES
from antiphon.reading.reader import read
from antiphon.reading.said import Reading, Rule, apply, chain
from tests.readings import word

CASES = Path(__file__).parents[1] / "cases"


#: Rows that begin with the mark of a heading are rows, too: a comment has no tab.
ROWS = [
    (text, right)
    for line in (CASES / "reading_en.tsv").read_text("utf-8").splitlines()
    if "\t" in line and not line.startswith("# text\t")
    for text, right in [line.split("\t")]
]
KEPT = (CASES / "reading_en_kept.tsv").read_text("utf-8").splitlines()[1:]


#: Where the full stop of an abbreviation goes, and the pause with it.
PAUSES = [
    ("Use fruit, e.g. apples.", "Use fruit, for example, apples."),
    ("Use fruit, e.g., apples.", "Use fruit, for example, apples."),
    ("the U.S. Army of the U.S.", "the U S Army of the U S."),
    ("at 9:05 a.m. we left at 10 p.m.", "at nine oh five A M we left at ten P M."),
    ("the early a.m. hours", "the early A M hours"),
    ("On Elm St. we met. He lives at 12 Elm St.", "On Elm Street we met. He lives at twelve Elm Street."),
    ("cats, dogs, etc. are pets", "cats, dogs, et cetera are pets"),
    ("Tom vs. Jerry", "Tom versus Jerry"),
    ("Sammy Davis Jr. sang", "Sammy Davis Junior sang"),
    ("the summer of '69", "the summer of sixty nine"),
    ("Lego® and Windows™ here", "Lego and Windows here"),
    ("at 6 p.m. EST", "at six P M EST"),
    ("Mon. and Fri. of May", "Monday and Friday of May"),
    ("Call 555-0199.", "Call five five five, oh one nine nine."),
]


PLAIN = {text: markup.read(text).text for text, _ in ROWS}


def heard(text: str) -> str:
    """What is compared: words in small letters, without punctuation."""
    return " ".join(re.findall(r"\w+", re.sub(r"['’]", "", text.lower())))


def is_right(said: str, right: str) -> bool:
    return heard(said) in [heard(each) for each in right.split(" | ")]


def as_spoken(text: str, rules: tuple[Rule, ...] = RULES) -> Reading:
    plain = markup.read(text)
    return chain(plain, apply(plain.text, rules))


@pytest.mark.parametrize(("text", "right"), ROWS, ids=[row[0] for row in ROWS])
def test_a_text_is_said_as_a_person_says_it(text: str, right: str) -> None:
    said = as_spoken(text).text
    assert is_right(said, right), said


@pytest.mark.parametrize(("text", "right"), PAUSES)
def test_the_full_stop_of_an_abbreviation_is_no_pause(text: str, right: str) -> None:
    assert read(text, "en").text == right


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_a_kind_is_said_as_it_is_written(text: str) -> None:
    reading = read(text, "en")
    assert reading.text == text
    assert list(reading.starts) == list(range(len(text)))


def is_needed(at: int) -> bool:
    rule, others = RULES[at], RULES[:at] + RULES[at + 1 :]
    return (
        any(any(rule(PLAIN[text])) and not is_right(as_spoken(text, others).text, right) for text, right in ROWS)
        or any(any(rule(text)) and apply(text, others).text != right for text, right in PAUSES)
        or any(any(rule(text)) and apply(text, others).text != text for text in KEPT)
    )


def test_every_rule_is_needed_by_a_row() -> None:
    assert [f"{at} {RULES[at].__name__}" for at in range(len(RULES)) if not is_needed(at)] == []


@pytest.mark.parametrize(
    ("text", "said", "written"),
    [
        ("It cost $100 then.", "dollars", "$100"),
        ("It cost $100 then.", "cost", "cost"),
        ("It cost $100 then.", "then", "then"),
        ("at 9:30PM sharp", "thirty", "9:30PM"),
        ("World War II ended", "two", "II"),
        ("See [the docs](https://example.org/a) for **$5**.", "five", "$5"),
        ("Chapter IV. The Storm", "Storm", "Storm"),
    ],
)
def test_a_word_knows_where_it_was_written(text: str, said: str, written: str) -> None:
    assert word(as_spoken(text), said) == written


def test_plain_text_is_the_text() -> None:
    text = (
        "It was a bright cold day in April, and the clocks were striking thirteen. “Who are you?” she asked — and then, "
        "more quietly: “I know.” We can't go; they'd never let us… Mr. Brown and Mrs. Green (both well) left at once!"
    )
    assert as_spoken(text).text == text


def test_numbers_have_words() -> None:
    assert words.cardinal(0) == "zero"
    assert words.cardinal(1_000_010) == "one million ten"
    assert words.whole("007") == "zero zero seven"
    assert words.whole("9" * 40) == " ".join(["nine"] * 40)
    assert words.ordinal(20) == "twentieth"
    assert words.ordinal(112) == "one hundred twelfth"
    assert [words.year(each) for each in ("1900", "1905", "2000", "2010")] == [
        "nineteen hundred",
        "nineteen oh five",
        "two thousand",
        "twenty ten",
    ]
    assert [value for value in range(1, 4000) if words.roman(words.as_roman(value)) != value] == []
    assert [words.roman(each) for each in ("IIII", "VX", "", "ABC")] == [0, 0, 0, 0]


PIECES = st.sampled_from(
    [
        "0",
        "1",
        "12",
        "100",
        "1998",
        "2024",
        "1,000",
        ".5",
        "-",
        "–",
        ":",
        "/",
        ".",
        ",",
        ";",
        "$",
        "£",
        "€",
        "%",
        "°",
        "°C",
        "km",
        "kg",
        "/h",
        "m",
        "s",
        "²",
        "^",
        "x",
        "×",
        "+",
        "=",
        "<",
        ">",
        "#",
        "@",
        "&",
        "(",
        ")",
        "[",
        "]",
        "*",
        "_",
        "`",
        "~",
        "I",
        "II",
        "IV",
        "V",
        "X",
        "Henry",
        "Chapter",
        "St.",
        "Dr.",
        "No.",
        "vs.",
        "e.g.",
        "the",
        "on",
        "of",
        "won",
        "call",
        "a.m.",
        "PM",
        "May",
        "March",
        "1st",
        "1/2",
        "'s",
        "CEO",
        "WHO",
        "http://",
        "www.",
        ".com",
        "\n",
        "é",
        "中",
        "½",
        "Ⅳ",
    ]
) | st.sampled_from([" ", " ", "\n"])


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=30))
def test_any_text_is_read_with_places_for_every_character(text: str) -> None:
    for reading in (markup.read(text), read(text, "en"), as_spoken(text)):
        assert reading.written == text
        assert len(reading.starts) == len(reading.ends) == len(reading.text)
        assert sorted(reading.starts) == list(reading.starts)
        assert all(0 <= start < end <= len(text) for start, end in zip(reading.starts, reading.ends, strict=True))


LONG = [
    "1", "1,", "1.", "1-", "1/", "1:", "$1 ", "1a.", "1a@", "1I", "II ", "http://a/", "10^", "1 + ", "(212) ", "555-",
    "code 11 ", "00 ", "St. Dr. ", "e.g. ", "/a1", "a[", "5 kg ", "March 1 ", "won 3-2 ", "Ⅳ", "1.2.3.", "a.b.c ", "1 a_",
]  # fmt: skip


def seconds(text: str) -> float:
    started = time.process_time()
    read(text, "en")
    return time.process_time() - started


@pytest.mark.parametrize("unit", LONG)
def test_time_grows_with_the_text(unit: str) -> None:
    short, long = unit * (800 // len(unit)), unit * (6_400 // len(unit))
    # Eight times the text: quadratic work takes sixty-four times as long, however often it is measured.
    assert any(seconds(long) < 32 * max(seconds(short), 0.003) for _ in range(4))
