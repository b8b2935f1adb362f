"""Prosody: moods change tempo, pitch and level as they say, and parts join as one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from antiphon.engines import prosody
from antiphon.engines.prosody import EMOTIONS, PLAIN, Prosody

RATE = 24_000


def tone(hertz: float = 200.0, seconds: float = 2.0, loud: float = 0.3) -> np.ndarray:
    return (loud * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def shaped(samples: np.ndarray, mood: Prosody, cuts: tuple[int, ...] = ()) -> np.ndarray:
    pieces = np.split(samples, list(cuts))
    parts = [(piece, at == len(pieces) - 1) for at, piece in enumerate(pieces)]
    heard = list(prosody.shaped(parts, mood, RATE))
    assert [last for _, last in heard] == [False] * (len(heard) - 1) + [True]
    return np.concatenate([samples for samples, _ in heard])


def pitch(samples: np.ndarray) -> float:
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return float(spectrum.argmax() * RATE / len(middle))


@pytest.mark.parametrize("name", EMOTIONS)
def test_a_mood_has_the_pitch_the_time_and_the_level_that_it_says(name: str) -> None:
    mood = EMOTIONS[name]
    spoken = tone(seconds=2.0 / mood.engine_speed(1.0))
    heard = shaped(spoken, mood)
    assert len(heard) / RATE == pytest.approx(2.0 / mood.tempo, rel=0.01)
    assert pitch(heard) == pytest.approx(200 * mood.pitch, rel=0.02)
    assert np.abs(heard).max() == pytest.approx(0.3 * mood.level, rel=0.03)


def test_moods_differ_from_each_other() -> None:
    for field in ("tempo", "pitch", "level"):
        values = sorted(getattr(mood, field) for mood in (PLAIN, *EMOTIONS.values()))
        assert all(after / before > 1.03 for before, after in pairwise(values))


@pytest.mark.parametrize("name", EMOTIONS)
def test_parts_join_as_one(name: str) -> None:
    spoken = tone()
    whole = shaped(spoken, EMOTIONS[name])
    parts = shaped(spoken, EMOTIONS[name], (137, 8_000, 8_001, 30_000))
    assert len(parts) == len(whole)
    assert np.abs(parts - whole).max() < 1e-3


def test_no_mood_leaves_the_samples_alone() -> None:
    assert prosody.mixed({}) is PLAIN
    assert prosody.mixed({"sad": 0.0}) is PLAIN
    spoken = tone()
    ((same, last),) = prosody.shaped([(spoken, True)], PLAIN, RATE)
    assert same is spoken
    assert last
    assert PLAIN.engine_speed(1.25) == 1.25


def test_a_mix_lies_between() -> None:
    half = prosody.mixed({"sad": 0.5})
    assert EMOTIONS["sad"].tempo < half.tempo < 1.0
    assert prosody.mixed({"happy": 1.0}).pitch == pytest.approx(EMOTIONS["happy"].pitch)


def test_what_is_too_loud_is_bent_and_not_cut_off() -> None:
    heard = shaped(tone(loud=0.9), EMOTIONS["angry"])
    assert 0.9 < np.abs(heard).max() < 1.0
    assert np.count_nonzero(np.abs(heard) > 0.999) == 0
