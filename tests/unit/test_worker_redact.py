"""What a worker prints is logged without the texts that it was given."""

from __future__ import annotations

import time

import pytest

from antiphon.worker.redact import LINE, TEXTS, Discretion, without

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
    assert without(line, [SECRET]) == told


def test_three_chinese_characters_are_a_quotation() -> None:
    told = without("jieba: 未登录词 密码是五 (len 4)", ["请记住，密码是五七九，别告诉别人。"])
    assert told == "jieba: 未登录词 […] (len 4)"


def test_every_string_of_a_unit_is_the_clients() -> None:
    discretion = Discretion()
    discretion.given({"text": "hello there my friend", "emotion_text": "with a secret sorrow", "speed": 1.0})
    assert discretion.clean("emotion: with a secret sorrow!") == "emotion: […]!"


def test_lines_and_memory_are_bounded() -> None:
    discretion = Discretion()
    for n in range(100):
        discretion.given({"text": f"sentence number {n} " * 10})
    assert len(discretion._texts) == TEXTS
    assert len(discretion.clean("x" * 5000)) <= LINE


def test_a_long_line_against_long_texts_takes_no_time() -> None:
    discretion = Discretion()
    for n in range(TEXTS):
        discretion.given({"text": f"{n} word and another " * 50})
    began = time.perf_counter()
    discretion.clean("something else entirely " * 90)
    assert time.perf_counter() - began < 5
