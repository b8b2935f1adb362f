"""Stretching: another speed, the same pitch, to the sample as long as it should be."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from antiphon.audio import pcm, tempo
from antiphon.domain import errors
from antiphon.domain.request import SAMPLE_RATES
from tests.unit.test_audio_pcm import pitch, samples, tone


@pytest.mark.parametrize("rate", [16000, 24000])
@pytest.mark.parametrize("factor", [0.25, 0.4, 0.5, 0.8, 1.25, 2.0, 3.0, 4.0])
def test_speed_changes_and_pitch_stays(factor: float, rate: int) -> None:
    made = tempo.stretch(tone(3.0, rate), rate, factor)
    assert len(made) // 2 == round(3 * rate / factor)
    assert pitch(made, rate) == pytest.approx(440, abs=6)


@pytest.mark.parametrize("factor", [0.25, 0.5, 1.5, 4.0])
def test_the_last_sound_is_not_lost(factor: float) -> None:
    rate = 24000
    made = samples(tempo.stretch(pcm.silence(1.5, rate) + tone(0.5, rate), rate, factor))
    loud = np.flatnonzero(np.abs(made) > 1000) / rate * factor
    assert loud[-1] == pytest.approx(2.0, abs=0.006)
    assert loud[0] == pytest.approx(1.5, abs=0.12)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 3000), st.floats(0.25, 4.0), st.sampled_from(SAMPLE_RATES))
@example(96, 4.0, 16000)
def test_any_length_is_exact(count: int, factor: float, rate: int) -> None:
    assert len(tempo.stretch(tone(count / rate, rate), rate, factor)) == 2 * round(count / factor)


def test_the_usual_speed_costs_nothing() -> None:
    sound = tone(0.1, 24000)
    assert tempo.stretch(sound, 24000, 1.0) is sound
    assert tempo.stretch(b"", 24000, 2.0) == b""


@pytest.mark.parametrize("factor", [0.2, 4.1, float("nan")])
def test_speeds_out_of_range(factor: float) -> None:
    with pytest.raises(errors.InvalidRequest, match="speed"):
        tempo.stretch(tone(0.1, 24000), 24000, factor)


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(errors.UnitFailed):
        tempo.stretch(b"abc", 24000, 2.0)


def test_no_thread_stays() -> None:
    tempo.stretch(tone(0.1, 24000), 24000, 2.0)
    before = len(os.listdir("/proc/self/task"))
    for _ in range(50):
        tempo.stretch(tone(0.1, 24000), 24000, 0.3)
    assert len(os.listdir("/proc/self/task")) == before
