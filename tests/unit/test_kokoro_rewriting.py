"""The check of Kokoro's rewritten graph: what does not sound the same is refused, and the reason is told."""

from __future__ import annotations

import numpy as np
import pytest

from antiphon.engines.kokoro.rewriting import BAND, LEVEL, difference

RATE = 24000
RNG = np.random.default_rng(5)
#: Noise with a second of speech's length, and silence around it that one side may leave out.
SPOKEN = RNG.normal(0, 0.1, RATE).astype(np.float32)
SILENCE = np.zeros(RATE // 4, np.float32)


def louder(samples: np.ndarray, decibels: float, above: int = 0) -> np.ndarray:
    spectrum = np.fft.rfft(samples)
    spectrum[len(spectrum) * above // (RATE // 2) :] *= 10 ** (decibels / 20)
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def test_silence_around_and_small_differences_are_no_reason() -> None:
    assert difference(np.concatenate([SILENCE, SPOKEN, SILENCE]), SPOKEN) is None
    assert difference(SPOKEN, louder(SPOKEN, LEVEL - 0.3)) is None
    assert difference(SPOKEN, louder(SPOKEN, BAND - 0.3, above=10_000)) is None


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (louder(SPOKEN, -(LEVEL + 0.3)), "-1.8 dB"),
        (louder(SPOKEN, BAND + 1, above=10_000), "+4.0 dB above 10 kHz"),
        (SPOKEN[: RATE // 2], "samples in place of"),
        (np.where(np.arange(RATE) == 7, np.nan, SPOKEN), "numbers that are none"),
        (np.zeros_like(SPOKEN), " dB"),
    ],
)
def test_what_sounds_otherwise_is_refused(now: np.ndarray, told: str) -> None:
    assert told in (difference(SPOKEN, now) or "")
