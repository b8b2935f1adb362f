"""What a worker prints is logged without the texts that it was given."""

from __future__ import annotations

import time

import pytest

from antiphon.worker.redact import LINE_CHARS, TEXTS, LogRedactor, without_quotations

SECRET = "The launch code is seven-four-tango and nobody may know."


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("words mismatch in 'The launch code is seven-four-tango'", "words mismatch in '[…]'"),
        ("WARNING: skipping LAUNCH  CODE\tis seven", "WARNING: skipping […]"),
        ("loaded 31 voices in 0.4 s", "loaded 31 voices in 0.4 s"),
        ("MemoryError: the arena is full", "MemoryError: the arena is full"),
    ],
)
def test_what_is_quoted_is_left_out(line: str, told: str) -> None:
    assert without_quotations(line, [SECRET]) == told


def test_three_chinese_characters_are_a_quotation() -> None:
    told = without_quotations("jieba: 未登录词 密码是五 (len 4)", ["请记住，密码是五七九，别告诉别人。"])
    assert told == "jieba: 未登录词 […] (len 4)"


def test_every_string_of_a_unit_is_the_clients() -> None:
    redactor = LogRedactor()
    redactor.remember({"text": "hello there my friend", "emotion_text": "with a secret sorrow", "speed": 1.0})
    assert redactor.redact("emotion: with a secret sorrow!") == "emotion: […]!"


def test_lines_and_memory_are_bounded() -> None:
    redactor = LogRedactor()
    for n in range(100):
        redactor.remember({"text": f"sentence number {n} " * 10})
    assert len(redactor._texts) == TEXTS
    assert len(redactor.redact("x" * 5000)) <= LINE_CHARS


def test_a_long_line_against_long_texts_takes_no_time() -> None:
    redactor = LogRedactor()
    for n in range(TEXTS):
        redactor.remember({"text": f"{n} word and another " * 50})
    began = time.perf_counter()
    redactor.redact("something else entirely " * 90)
    assert time.perf_counter() - began < 5
