"""Which seconds of a recording the model hears."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from antiphon.engines import excerpt

RATE = 16_000


def noise(seconds: float, level: float = 0.001) -> NDArray[np.float32]:
    return (level * np.random.default_rng(1).standard_normal(round(seconds * RATE))).astype(np.float32)


def speech(seconds: float, level: float = 0.2) -> NDArray[np.float32]:
    """Words of 0.4 s with a tenth of a second between them."""
    at = np.arange(round(seconds * RATE)) / RATE
    words = (at % 0.5) < 0.4
    return (level * np.sin(2 * np.pi * 150 * at) * words + 0.001 * np.sin(at * 9999)).astype(np.float32)


def chosen(*parts: NDArray[np.float32], seconds: float = 6.0) -> tuple[float, float]:
    start, end = excerpt.best(np.concatenate(parts), RATE, seconds)
    return start / RATE, end / RATE


def test_leading_silence_is_left_out() -> None:
    start, end = chosen(noise(5), speech(7), noise(4))
    assert start >= 4.8
    assert end <= 12.2


def test_a_part_with_long_pauses_is_worth_less_than_one_without() -> None:
    start, _ = chosen(speech(2), noise(3), speech(2), noise(3), speech(8))
    assert start >= 9.8


def test_what_was_cut_off_by_the_microphone_is_avoided() -> None:
    start, _ = chosen(np.clip(speech(7, level=2.0), -1, 1), noise(0.5), speech(7))
    assert start >= 7


def test_it_begins_and_ends_between_words() -> None:
    sound = np.concatenate((speech(9), noise(0.3)))
    start, end = excerpt.best(sound, RATE, 6.05)
    size = RATE // 50
    for seam in (start, end):
        around = [np.abs(sound[at : at + size]).max() for at in (seam - size, seam) if 0 <= at < len(sound)]
        assert seam == 0 or min(around) < 0.02


@pytest.mark.parametrize("seconds", [0.0, 0.01, 3.0, 6.0])
def test_a_short_recording_is_heard_whole(seconds: float) -> None:
    assert chosen(speech(seconds)) == (0, pytest.approx(seconds, abs=1e-4))


@pytest.mark.parametrize("level", [0.0, 1e-9, 1.0])
def test_one_that_is_all_alike_is_heard_from_its_beginning(level: float) -> None:
    assert chosen(np.full(10 * RATE, level, np.float32)) == (0, 6)


def test_the_last_seconds_end_with_the_recording() -> None:
    sound = np.concatenate((np.zeros(360, np.float32), np.full(40, 0.5, np.float32)))
    assert excerpt.best(sound, 441, 0.1) == (356, 400)


@given(
    samples=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=400), rate=st.sampled_from([16, 100, 441]),
    seconds=st.floats(0.1, 9),
)  # fmt: skip
def test_it_is_a_part_of_the_recording_and_as_long_as_asked(samples: list[float], rate: int, seconds: float) -> None:
    start, end = excerpt.best(np.array(samples, np.float32), rate, seconds)
    assert 0 <= start <= end <= len(samples)
    assert end - start == min(len(samples), int(seconds * rate))


def test_a_few_words_in_long_silence_are_found() -> None:
    start, end = chosen(np.zeros(60 * RATE, np.float32), speech(4), np.zeros(20 * RATE, np.float32))
    assert start <= 60
    assert end >= 63.9
