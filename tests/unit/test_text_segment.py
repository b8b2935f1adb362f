"""How texts are cut into segments."""

from __future__ import annotations

import subprocess
import sys
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.domain.engine import Cut
from antiphon.text.length import LengthIndex, length
from antiphon.text.normalise import MAX_RUBBLE, clean
from antiphon.text.segment import LINE_PAUSE, PARAGRAPH_PAUSE, PAUSE, Break, Segment, segment


def texts(segments: list[Segment]) -> list[str]:
    return [s.text for s in segments]


def test_a_short_text_is_one_segment() -> None:
    assert segment("Hello. How are you?", Cut(), "en") == [Segment("Hello. How are you?", 0.0, 0, 19)]
    assert segment("", Cut(), "en") == []


def test_sentences_are_joined_up_to_the_target() -> None:
    one = "This is a sentence of forty characters. "
    assert [len(s.text) for s in segment(clean(one * 10), Cut(), "en")] == [160, 160, 79]


def test_a_slight_sentence_is_not_left_alone() -> None:
    long = "Then came " + "word " * 29 + "ends. "
    assert length(long) == 161
    assert texts(segment(f"Never. {long}Yes.", Cut(), "en")) == [f"Never. {long}Yes."]
    assert texts(segment(f"Never. {long}{long}Yes.", Cut(), "en")) == [f"Never. {long}", f"{long}Yes."]


def test_pauses_follow_what_lies_between() -> None:
    cut = Cut(target_chars=30)
    text = clean(
        "The first sentence is here. The second one ends a line.\nThe third ends its paragraph.\n\nThe last one."
    )
    assert [s.pause for s in segment(text, cut, "en")] == [PAUSE[Break.SENTENCE], LINE_PAUSE, PARAGRAPH_PAUSE, 0.0]
    clauses = "many words are standing here before the comma comes, and after it there are as many words again"
    assert [s.pause for s in segment(clauses, Cut(max_chars=60), "en")] == [PAUSE[Break.CLAUSE], 0.0]
    words = "many words are standing here and no comma ever comes between them so that a word must be the border"
    assert [s.pause for s in segment(words, Cut(max_chars=60), "en")] == [PAUSE[Break.WORD], 0.0]


def test_no_segment_crosses_a_blank_line() -> None:
    assert texts(segment("One.\n\nTwo.\n\nThree.", Cut(), "en")) == ["One.\n\n", "Two.\n\n", "Three."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("... ... Hello.", ["... ... Hello."]),
        ("One.\n\n-----\n\nTwo.", ["One.\n\n---\n\n", "Two."]),
        ("-----\n\nOne.\n\n***\n\n!!!\n\nTwo.\n\n---", ["---\n\nOne.\n\n***\n\n!!!\n\n", "Two.\n\n---"]),
        ("----", ["---"]),
    ],
)
def test_what_cannot_be_said_goes_to_a_neighbour(text: str, expected: list[str]) -> None:
    assert texts(segment(clean(text), Cut(), "en")) == expected


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        # At clauses; not at the comma of a number or the colon of a time.
        (
            "en",
            ["Take the 10:30 with 1,000,000 coins, ", "as nobody who lives there saw; ", "it is cold, you see: very"],
        ),
        ("en", ["This is one half of a sentence — ", "and here is the other half of it"]),
        ("en", ["They waited there for him... ", "and waited, but he never came"]),
        ("zh", ["我们昨天一起去了公园，", "看见很多漂亮的花，还有小鸟"]),
        # At sentences inside a quotation before clauses.
        ("zh", ["“我们昨天去了公园。", "看见很多花，还有小鸟。”"]),
        ("en", ["(They saw the big park. ", "Then, after it, they saw the sea)"]),
        # At words, whole numbers and foreign words.
        ("en", ["many words are standing ", "here and no comma ever comes"]),
        ("zh", ["我们昨天一起去公园", "Beautiful12345看见很多漂亮花"]),
        # A clause too short to be worth a cut.
        ("en", ["Well, this one goes on and ", "on to its end without one"]),
        # Between letters.
        ("en", ["a" * 30, "a" * 30]),
    ],
)
def test_a_long_sentence_is_cut_where_it_hurts_least(language: str, expected: list[str]) -> None:
    assert texts(segment("".join(expected), Cut(max_chars=40, target_chars=30), language)) == expected


def test_a_french_mark_stays_at_its_word() -> None:
    text = "je ne sais vraiment pas dire : nous verrons bien ce que demain apporte"
    assert texts(segment(text, Cut(max_chars=30, target_chars=30), "fr"))[0] == "je ne sais vraiment pas "


@pytest.mark.parametrize(
    "text", ["きょうはとてもよいてんきでしょうカーテンをちょっとあけっぱなしにして", "x\u0323\u0306" * 40, "กี่" * 40]
)
def test_no_piece_begins_with_what_clings_to_the_one_before(text: str) -> None:
    for most in range(10, 30):
        heads = [s[0] for s in texts(segment(text, Cut(max_chars=most, target_chars=most), "ja"))]
        assert len(heads) > 1
        assert not any(head in "ょっー" or unicodedata.category(head) == "Mn" for head in heads)


def test_a_quick_first_segment_ends_at_its_first_clause() -> None:
    text = clean("Well then, my friend, " + "this sentence goes on and on without an end in sight " * 4)
    assert texts(segment(text, Cut(), "en", quick_first=True))[0] == "Well then, my friend, "
    assert len(texts(segment(text, Cut(), "en"))[0]) > 60
    two = "Here is a short sentence. " + "And here is a second one that is rather longer than the first one was."
    assert texts(segment(two, Cut(), "en", quick_first=True))[0] == "Here is a short sentence. "
    assert texts(segment(two, Cut(), "en")) == [two]


@pytest.mark.parametrize(
    "text", ["Short enough, as it is.", "This sentence is longer than what a quick start likes to, alas.", "word " * 18]
)
def test_a_quick_first_segment_is_not_forced(text: str) -> None:
    text = clean(text)
    assert segment(text, Cut(), "en", quick_first=True) == segment(text, Cut(), "en")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Oh, " + "no clause ever ends in this long sentence " * 3, "Oh, no clause ever ends in this long sentence no clause "),
        ("word " * 30, "word " * 12),
        ("我们昨天一起去了公园看见很多漂亮的花和小鸟还有一条大河以及许多正在河边散步的老人", "我们昨天一起去了公园看见很多漂亮的花和小鸟还有一"),
        ("a" * 200, "a" * 200),
    ],
)  # fmt: skip
def test_a_long_first_sentence_without_a_clause_is_cut_at_a_word(text: str, first: str) -> None:
    segments = segment(clean(text), Cut(), "en", quick_first=True)
    assert segments[0].text == first
    if len(segments) > 1:
        assert segments[0].pause == 0.0, "both parts are one sentence"


#: Texts with more borders, marks and runs than chance would give.
MARKED = st.lists(
    st.one_of(
        st.sampled_from(["Dr. ", "Hello. ", "word ", "你好", "。", "，", "“", "”", "「", "」", "…", "... ", "\n", "\n\n", "3.14 ", "カー"]),
        st.sampled_from(["a" * 90, "好" * 90, "一，" * 40, "e, " * 40, "!?" * 30, "x\u0323\u0306" * 40, "-----", "No. 5 ", "(", ") ", "ก\u0e34"]),
        st.text(max_size=8),
    ),
    max_size=30,
).map(lambda parts: clean("".join(parts)))  # fmt: skip
LANGUAGE = st.sampled_from(["en", "zh", "ja", "es", "ko", "fr", "xx", ""])
CUT = st.builds(
    Cut,
    max_chars=st.integers(100, 400),
    target_chars=st.integers(1, 500),
    first_chars=st.integers(0, 200),
    cjk_weight=st.floats(1, 3),
)


@given(MARKED, LANGUAGE, CUT, st.booleans())
@example("a" + "." * 38 + "b" + "." * 40 + "c", "en", Cut(max_chars=100, target_chars=12), False)
def test_segments_are_the_text_again_bounded_and_sayable(text: str, language: str, cut: Cut, quick: bool) -> None:
    segments = segment(text, cut, language, quick_first=quick)
    assert "".join(texts(segments)) == text
    assert [s.text for s in segments] == [text[s.start : s.end] for s in segments]
    assert all(length(s.text, cut.cjk_weight) <= cut.max_chars for s in segments)
    if any(ch.isalnum() for ch in text):
        assert all(any(ch.isalnum() for ch in s.text) for s in segments)
    assert all(s.text and s.pause >= 0 for s in segments)
    assert not segments or segments[-1].pause == 0
    assert not any(spoken_twice(s.text) for s in segments)


def spoken_twice(text: str) -> bool:
    """Whether there is something to say on both sides of a blank line."""
    return sum(any(ch.isalnum() for ch in part) for part in text.split("\n\n")) > 1


@given(st.text(), st.integers(1, 20), st.integers(0, 20), st.booleans())
def test_a_tiny_bound_is_kept_by_everything_but_single_characters(
    text: str, most: int, target: int, quick: bool
) -> None:
    segments = segment(clean(text), Cut(max_chars=most, target_chars=target, first_chars=5), "en", quick_first=quick)
    assert "".join(texts(segments)) == clean(text)
    assert all(s.text and (length(s.text) <= most or len(s.text) == 1) for s in segments)


def test_the_longest_runs_without_words_leave_room_for_one() -> None:
    rubble = "-+" * (MAX_RUBBLE // 2)
    text = clean(f"a{rubble}b{rubble}c{rubble}d")
    assert len(segment(text, Cut(max_chars=2 * MAX_RUBBLE + 3, target_chars=20), "en")) > 1
    assert all(
        any(map(str.isalnum, s.text)) for s in segment(text, Cut(max_chars=2 * MAX_RUBBLE + 3, target_chars=20), "en")
    )


def test_one_letter_in_a_long_run_is_not_parted_from_it() -> None:
    # The next sentence is too long to take in what would be left over.
    text = clean("word " * 20 + "b" + "-+" * 18 + ". Then came " + "word " * 17 + "ends.")
    segments = segment(text, Cut(max_chars=100, target_chars=12), "en")
    assert len(segments) > 5
    assert all(any(map(str.isalnum, s.text)) for s in segments)


@given(st.text(st.sampled_from("ab好カ한，. ")), st.floats(0.5, 3), st.floats(0, 30), st.data())
def test_a_ruler_measures_as_length_does(text: str, weight: float, limit: float, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    lengths = LengthIndex(text, weight)
    assert lengths.measure(start, end) == length(text[start:end], weight)
    if start < end:
        stop = lengths.reach(start, end, limit)
        assert start < stop <= end
        assert stop == start + 1 or lengths.measure(start, stop) <= limit
        assert stop == end or lengths.measure(start, stop + 1) > limit


@pytest.mark.parametrize(
    "piece",
    [
        "Dr. Smith went home. He was tired. ",
        "你好，世界。今天很好。",
        "「あ。」",
        "好",
        "a",
        "word ",
        "a, ",
        "A. ",
        "x\n",
        "“",
        "(. ",
        "a\u0301\u0302",
    ],
)
def test_a_long_text_takes_linear_time(piece: str) -> None:
    text = clean(piece * (200_000 // len(piece)))
    began = time.perf_counter()
    assert "".join(texts(segment(text, Cut(), "en"))) == text
    # At most about a second; what this must catch is quadratic: sentencex alone takes 20 s and more for some of these.
    assert time.perf_counter() - began < 8


def test_the_text_room_is_light() -> None:
    code = (
        "import sys, antiphon.text.segment, antiphon.text.normalise, antiphon.text.language;"
        "print([m for m in ('numpy', 'pydantic', 'asyncio', 'regex') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
