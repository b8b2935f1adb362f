"""What is said for a text, and where each word of it was written."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from antiphon.reading.said import Rule, Said, apply, chain, plain
from tests.readings import word


def rule(pattern: str, text: str) -> Rule:
    def find(written: str) -> Iterator[Said]:
        for found in re.finditer(pattern, written):
            yield Said(found.start(), found.end(), text)

    return find


def test_a_rule_that_stands_first_counts() -> None:
    reading = apply("It cost $5, or 5.", [rule(r"\$5", "five dollars"), rule("5", "five")])
    assert reading.text == "It cost five dollars, or five."
    assert [word(reading, said) for said in ("dollars", "cost", "five.", ", or")] == ["$5", "cost", "5.", ", or"]


def test_what_is_silent_leaves_no_trace() -> None:
    reading = apply("**Bold** move", [rule(r"\*\*", "")])
    assert reading.text == "Bold move"
    assert [word(reading, said) for said in ("Bold", "move")] == ["Bold", "move"]


def test_one_reading_after_another() -> None:
    first = apply("**$5** now", [rule(r"\*\*", "")])
    reading = chain(first, apply(first.text, [rule(r"\$5", "five dollars")]))
    assert reading.text == "five dollars now"
    assert [word(reading, said) for said in ("dollars", "now")] == ["$5", "now"]


@given(st.text("ab*5$ ", max_size=30), st.sampled_from(["", "x", "five dollars"]))
def test_every_character_was_written_somewhere_and_in_order(text: str, said: str) -> None:
    first = apply(text, [rule(r"\*+", said), rule(r"\$\d", "money")])
    for reading in (plain(text), first, chain(first, apply(first.text, [rule("a", ""), rule("five", "5")]))):
        assert reading.written == text
        assert len(reading.starts) == len(reading.ends) == len(reading.text)
        for start, end in zip(reading.starts, reading.ends, strict=True):
            assert 0 <= start < end <= len(text)
        assert sorted(reading.starts) == list(reading.starts)


@given(st.text("ab*5$ ", max_size=30), st.sampled_from(["", "x", "five dollars"]))
def test_changes_make_what_is_said_of_what_is_written(text: str, said: str) -> None:
    first = apply(text, [rule(r"\*+", said), rule(r"\$\d", "money")])
    again = chain(first, apply(first.text, [rule("a", ""), rule("five|xa", "5"), rule("x ", "")]))
    for reading in (plain(text), first, again):
        parts, at = [], 0
        for change in reading.changes():
            assert at <= change.start < change.end
            assert change.text != text[change.start : change.end]
            parts += text[at : change.start], str(change.text)
            at = change.end
        assert "".join((*parts, text[at:])) == reading.text


def test_a_change_is_as_small_as_what_was_read() -> None:
    reading = apply("It cost $5, or $5.", [rule(r"\$5", "five dollars")])
    assert reading.changes() == [Said(8, 10, "five dollars"), Said(15, 17, "five dollars")]
