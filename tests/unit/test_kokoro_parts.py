"""Kokoro's segments in parts: what is computed, where they are cut, and that their samples are those of the whole."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.kokoro import parts
from antiphon.engines.kokoro.audio import JOIN, RATE, TAIL, gradual, pcm
from antiphon.engines.kokoro.parts import Bounds
from antiphon.engines.kokoro.rewriting import difference


def energy(*runs: tuple[float, int]) -> Any:
    """Energy of runs of (value, frames), as the encoder gives it."""
    return np.repeat(np.concatenate([np.full(count, value, "f4") for value, count in runs]), parts.POINTS)[None]


def test_silent_frames_are_not_computed() -> None:
    bounds = parts.sounding(energy((-6.0, 20), (1.0, 50), (-6.0, 10), (1.0, 5), (-6.0, 30)))
    assert bounds == Bounds(20 - parts.LEAD, 85 + parts.TAIL)
    assert parts.sounding(energy((1.0, 9))) == Bounds(0, 9)
    assert parts.sounding(energy((-6.0, 9))) == Bounds(0, 9)


@given(st.integers(1, 700), st.integers(0, 1000))
def test_parts_are_the_whole_in_order_and_none_is_tiny(count: int, seed: int) -> None:
    rnd = np.random.default_rng(seed)
    levels, pitch = rnd.normal(0, 2, (2, 1, count * parts.POINTS)).astype("f4")
    bounds = parts.plan(levels, 100 * pitch)
    assert [each.start for each in bounds] == [0, *(each.end for each in bounds[:-1])]
    assert bounds[-1].end == count
    assert all(each.end - each.start >= parts.SHORTEST // 2 for each in bounds) or count < parts.SHORTEST
    assert bounds[0].end <= parts.FIRST + max(parts.SEARCH, parts.SHORTEST)


def test_a_part_ends_where_it_is_quiet_and_without_voice() -> None:
    quiet = parts.FIRST + 6
    levels = energy((2.0, quiet), (-5.0, 1), (2.0, 100))
    assert parts.plan(levels, np.full_like(levels, 120.0))[0].end == quiet
    voiced = energy((2.0, 150))
    pitch = energy((120.0, quiet), (0.0, 1), (120.0, 149 - quiet))
    assert parts.plan(voiced, pitch)[0].end == quiet


@pytest.mark.parametrize("count", [10, 41, 90, 260])
def test_parts_of_one_wave_are_that_wave(count: int) -> None:
    wave = np.sin(np.arange(count * parts.FRAME) / 7).astype("f4")
    levels = energy((1.0, count))
    bounds = parts.plan(levels, levels)
    asked = []

    def decode(part: Bounds) -> Any:
        asked.append(part)
        return wave[part.start * parts.FRAME : part.end * parts.FRAME]

    told = list(parts.joined(decode, bounds))
    assert np.allclose(np.concatenate([samples for samples, _ in told]), wave, atol=1e-6)
    assert [last for _, last in told] == [False] * (len(bounds) - 1) + [True]
    for part, around in zip(bounds, asked, strict=True):
        assert around == Bounds(max(0, part.start - parts.CONTEXT), min(count, part.end + parts.CONTEXT))


def test_what_is_decoded_without_its_silence_is_made_louder_again() -> None:
    whole = parts.loudness(energy((-8.0, 30), (1.0, 60), (-8.0, 30)))
    assert parts.gain(whole, whole) == 1.0
    assert parts.gain(parts.loudness(energy((1.0, 60))), whole) > 1.2
    assert parts.gain(parts.loudness(energy((0.0, 60))), parts.loudness(energy((1.0, 60)))) < 0.9


def speech(silent: float = 0.4) -> Any:
    samples = 0.5 * np.sin(np.arange(2 * RATE, dtype="f4") * 0.2)
    quiet = np.zeros(int(silent * RATE), "f4")
    return np.concatenate([quiet, samples, quiet])


@given(st.lists(st.integers(0, 279).map(lambda frame: frame * RATE // 100), max_size=5))
def test_pcm_in_parts_is_that_of_the_whole(cuts: list[int]) -> None:
    samples = speech()
    places = [0, *sorted(cuts), len(samples)]
    # The last part has sound in it, as a segment's last part has.
    places = [place for place in places[:-1] if place < 2.0 * RATE] + [len(samples)]
    pieces = [samples[a:b] for a, b in itertools.pairwise(places)]
    told = [(piece, number == len(pieces) - 1) for number, piece in enumerate(pieces)]
    assert b"".join(gradual(iter(told))) == pcm(samples)


def test_speech_that_goes_on_has_less_silence_after_it() -> None:
    longer, shorter = pcm(speech()), pcm(speech(), tail=JOIN)
    assert len(longer) - len(shorter) == 2 * (int(TAIL * RATE) - int(JOIN * RATE))


def test_the_check_tells_what_differs() -> None:
    rnd = np.random.default_rng(0)
    phrase = rnd.normal(0, 0.1, RATE).astype("f4")
    silent = np.zeros(RATE // 4, "f4")
    assert difference(np.concatenate([silent, phrase, silent]), phrase) is None
    assert difference(phrase, 1.1 * phrase) is None
    assert "dB" in (difference(phrase, 0.7 * phrase) or "")
    assert "samples" in (difference(phrase, phrase[: RATE // 2]) or "")
    assert "none" in (difference(phrase, np.full_like(phrase, np.nan)) or "")
    spectrum = np.fft.rfft(phrase)
    spectrum[len(spectrum) * 5 // 6 :] *= 0.3
    assert "above 10 kHz" in (difference(phrase, np.fft.irfft(spectrum).astype("f4")) or "")
