"""Cutting long recordings: every sound is in one piece, no piece is too long, and words are not divided."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.audio.cut import cuts

RATE = 1000


def recording(parts: list[tuple[float, bool]]) -> bytes:
    """(seconds, whether somebody speaks)…"""
    rng = np.random.default_rng(1)
    pieces = [
        (rng.standard_normal(int(seconds * RATE)) * (8000 if speaks else 5)).astype("<i2").tobytes()
        for seconds, speaks in parts
    ]
    return b"".join(pieces)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 40), st.booleans()), min_size=1, max_size=12))
def test_pieces_are_in_order_and_miss_no_sound(parts: list[tuple[float, bool]]) -> None:
    audio = recording(parts)
    found = cuts(audio, RATE)
    samples = np.frombuffer(audio, "<i2")
    heard = np.zeros(len(samples), bool)
    end = 0
    for first, last in found:
        assert end <= first < last <= len(samples)
        assert last - first <= 30 * RATE
        heard[first:last] = True
        end = last
    assert all(last - first >= 15 * RATE for (first, last), follow in pairwise(found) if follow[0] == last)
    # What lies in no piece is silent.
    assert np.abs(samples[~heard]).max(initial=0) < 100


def test_it_cuts_in_the_pause() -> None:
    audio = recording([(20, True), (0.4, False), (25, True), (0.4, False), (10, True)])
    (_, first), (_, second), (_, last) = cuts(audio, RATE)
    assert 20 * RATE <= first <= 20.4 * RATE
    assert 45.4 * RATE <= second <= 45.8 * RATE
    assert last == len(audio) // 2


def test_silence_gives_nothing() -> None:
    assert cuts(recording([(100, False)]), RATE) == []
    assert cuts(b"", RATE) == []


def test_an_hour_of_silence_between_words_is_left_out() -> None:
    found = cuts(recording([(2, True), (600, False), (2, True)]), RATE)
    assert len(found) == 2
    assert sum(last - first for first, last in found) <= 60 * RATE
