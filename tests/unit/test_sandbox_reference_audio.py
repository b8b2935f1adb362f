"""Reference audio: silence is trimmed, rates are lowered, and each refusal names the figure and the remedy."""

from __future__ import annotations

import numpy as np
import pytest

from antiphon.audio import pcm, wav
from antiphon.domain import errors
from antiphon.sandbox import reference_audio
from tests.unit.test_audio_pcm import pitch, tone

RATE = 8000


def refused(audio: bytes, rate: int = RATE) -> str:
    with pytest.raises(errors.InvalidRequest) as caught:
        reference_audio.prepare(audio, rate)
    return caught.value.message


def level(decibels: float) -> bytes:
    """Two seconds of a tone that is so loud on average, in dBFS."""
    return tone(2, RATE, amplitude=10 ** (decibels / 20) * 2**0.5)


def test_silence_is_trimmed_at_both_ends_and_a_little_stays() -> None:
    audio = pcm.silence(3, RATE) + tone(2, RATE) + pcm.silence(5, RATE)
    trimmed, rate = wav.read(reference_audio.prepare(audio, RATE))
    assert rate == RATE
    assert pcm.duration(len(trimmed), rate) == pytest.approx(2 + 2 * reference_audio.MARGIN, abs=0.01)
    assert pitch(trimmed, rate) == pytest.approx(440, abs=2)


def test_hiss_counts_as_silence() -> None:
    hiss = np.random.default_rng(7).integers(-80, 80, 5 * RATE).astype("<i2").tobytes()
    trimmed, _ = wav.read(reference_audio.prepare(hiss + tone(2, RATE) + hiss, RATE))
    assert pcm.duration(len(trimmed), RATE) == pytest.approx(2 + 2 * reference_audio.MARGIN, abs=0.01)


@pytest.mark.parametrize("rate", [96_000, 192_000])
def test_high_rates_are_brought_down(rate: int) -> None:
    audio, new_rate = wav.read(reference_audio.prepare(tone(1.5, rate), rate))
    assert new_rate == reference_audio.MAX_RATE
    assert pcm.duration(len(audio), new_rate) == pytest.approx(1.5, abs=0.01)
    assert pitch(audio, new_rate) == pytest.approx(440, abs=2)


def test_what_is_silent() -> None:
    assert "digital silence" in refused(pcm.silence(5, RATE))
    assert "-57 dBFS" in refused(b"\x2d\x00" * 5 * RATE)


def test_what_is_too_short_without_its_silence() -> None:
    message = refused(pcm.silence(20, RATE) + tone(0.5, RATE) + pcm.silence(20, RATE))
    assert "0.70 seconds" in message
    assert "5 to 15 seconds" in message
    reference_audio.prepare(tone(1.01, RATE), RATE)


def test_what_is_too_long_without_its_silence() -> None:
    assert "61.0 seconds" in refused(tone(61, RATE))
    reference_audio.prepare(pcm.silence(50, RATE) + tone(59.5, RATE) + pcm.silence(10, RATE), RATE)


def test_what_is_too_quiet() -> None:
    assert "-47 dBFS on average" in refused(level(-47))
    reference_audio.prepare(level(-44), RATE)


def test_what_is_overdriven() -> None:
    assert "are clipped" in refused(tone(2, RATE, 441.7, amplitude=1.3))
    reference_audio.prepare(tone(2, RATE, 441.7, amplitude=0.99), RATE)
