"""Text in pieces: whatever way it is chopped, the same sentences come, joined they are the text, and none waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.text.clauses import spoken
from antiphon.text.incremental import MAX_HELD, Granularity, Splitter

GRANULARITIES = ("none", "sentence", "clause")
WORDS = (
    "Hello", "there", "Dr.", "Smith", "3.14", "1,000", "10:30", "e.g.", "No.", "5", "你好", "世界", "。", "！", "，", "”", "“",
    ".", "!", "?", "...", ",", ";", "\n", "\n\n", " ", " ", " ", '"', ")", "(", "—", "U.S.", "plan B", "a", "I", "次", "…",
)  # fmt: skip
texts = st.one_of(st.lists(st.sampled_from(WORDS), max_size=40).map("".join), st.text(max_size=80))


def split(pieces: list[str], granularity: Granularity = "sentence") -> list[str]:
    splitter = Splitter(granularity)
    found = [sentence for piece in pieces for sentence in splitter.feed(piece)]
    return [*found, splitter.flush()]


def sentences(text: str, granularity: Granularity = "sentence") -> list[str]:
    return [piece.strip() for piece in split(list(text), granularity) if piece.strip()]


@given(texts, st.data(), st.sampled_from(GRANULARITIES))
def test_chopping_changes_nothing_and_loses_nothing(text: str, data: st.DataObject, how: Granularity) -> None:
    at = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    chopped = [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]
    whole = split([text], how)
    assert split(chopped, how) == whole == split(list(text), how)
    assert "".join(whole) == text
    assert all(spoken(piece, 0, len(piece)) for piece in whole[:-1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there. How are you? Fine!", ["Hello there.", "How are you?", "Fine!"]),
        ("Hi. Pi is 3.14, you know. Ok.", ["Hi.", "Pi is 3.14, you know.", "Ok."]),
        ("Ask Dr. Smith or Mr. Jones. They know.", ["Ask Dr. Smith or Mr. Jones.", "They know."]),
        ("See e.g. example.com for more. Then go.", ["See e.g. example.com for more.", "Then go."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("你好。今天天气很好！我们走吧？好", ["你好。", "今天天气很好！", "我们走吧？", "好"]),
        ("他说：“走吧。”然后走了。好的。", ["他说：“走吧。”", "然后走了。", "好的。"]),
        (
            "我用 Python 3.11 写的。It works well. 真的！好",
            ["我用 Python 3.11 写的。", "It works well.", "真的！", "好"],
        ),
        ("A title\n\nThe first line. The second.", ["A title", "The first line.", "The second."]),
        ("Wait... what? ?! Yes.", ["Wait... what? ?!", "Yes."]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_a_sentence_is_given_with_the_first_character_after_it() -> None:
    splitter = Splitter()
    assert splitter.feed("The first one is here. ") == []
    assert splitter.feed("A") == ["The first one is here. "]
    assert splitter.feed("nd 你好。") == []
    assert splitter.feed("再") == ["And 你好。"]


def test_a_long_first_sentence_is_cut_at_a_clause_and_a_later_one_is_not() -> None:
    long = "When the sun had gone down behind the hills of the west, the people came out, and sang until the morning. "
    first, rest, again = split([long * 2])
    assert first == "When the sun had gone down behind the hills of the west, "
    assert rest == long.removeprefix(first)
    assert again == long


def test_clauses_are_cut_where_asked() -> None:
    text = "We came to the river, which was wide; 1,000 boats were on it, so we stayed."
    assert sentences(text, "clause") == [
        "We came to the river,",
        "which was wide;",
        "1,000 boats were on it,",
        "so we stayed.",
    ]
    assert sentences(text, "none") == [text]


def test_what_is_held_is_bounded() -> None:
    splitter = Splitter()
    splitter.feed("a" * MAX_HELD)
    with pytest.raises(ValueError, match="wait"):
        splitter.feed("b")
    assert splitter.held == MAX_HELD
    assert splitter.flush() == "a" * MAX_HELD


def test_half_a_surrogate_pair_is_no_reason_to_break() -> None:
    """Found by scripts/fuzz.py: JSON can carry one, and the sentence splitter cannot."""
    splitter = Splitter("sentence")
    text = "\udbdb\n\n\udbdb. Then it goes on. And on."
    assert "".join([*splitter.feed(text), splitter.flush()]) == text
