"""PCM: lengths, clipping, rates, fades and silence; and that plain audio loads no heavy library."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from antiphon.audio import pcm
from antiphon.domain import errors
from antiphon.domain.request import SAMPLE_RATES

rates = st.sampled_from(SAMPLE_RATES)
audio = st.binary(max_size=4000).map(lambda b: b[: len(b) // 2 * 2])


def samples(audio: bytes) -> NDArray[np.int64]:
    return np.frombuffer(audio, "<i2").astype(np.int64)


def tone(seconds: float, rate: int, hertz: float = 440.0, amplitude: float = 0.3) -> bytes:
    t = np.arange(round(seconds * rate)) / rate
    return pcm.from_float(amplitude * np.sin(2 * np.pi * hertz * t))


def pitch(audio: bytes, rate: int) -> float:
    """The strongest frequency in Hz, without the first and last tenth of a second."""
    middle = samples(audio)[rate // 10 : -rate // 10]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return float(np.argmax(spectrum) * rate / len(middle))


@given(st.floats(0, 10), rates)
def test_silence_lasts_what_was_asked(seconds: float, rate: int) -> None:
    made = pcm.silence(seconds, rate)
    assert not any(made)
    assert pcm.duration(len(made), rate) == pytest.approx(seconds, abs=0.501 / rate)


def test_negative_silence_is_none() -> None:
    assert pcm.silence(-1.0, 24000) == b""


@given(audio)
def test_samples_survive_the_way_over_floats(audio: bytes) -> None:
    assert pcm.from_float(samples(audio) / 32768) == audio


@pytest.mark.parametrize(("value", "sample"), [(1.0, 32767), (-1.0, -32768), (7.5, 32767), (-1e30, -32768), (0.0, 0)])
def test_loud_samples_are_clipped(value: float, sample: int) -> None:
    assert samples(pcm.from_float(np.array([value]))).tolist() == [sample]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e300])
def test_what_is_no_number_fails_the_unit(value: float) -> None:
    with pytest.raises(errors.UnitFailed, match="not finite"):
        pcm.from_float(np.array([0.0, value]))


@pytest.mark.parametrize("shape", [(6,), (1, 6), (6, 1), (1, 1, 6)])
def test_one_channel_in_any_shape(shape: tuple[int, ...]) -> None:
    assert samples(pcm.from_float(np.full(shape, 0.5, np.float64))).tolist() == [16384] * 6


def test_two_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="one channel"):
        pcm.from_float(np.zeros((2, 3)))
    assert pcm.from_float(np.zeros((0,))) == b""


def test_half_a_sample_is_refused() -> None:
    for function in (lambda a: pcm.trim_silence(a, 8000), lambda a: pcm.resample(a, 8000, 16000)):
        with pytest.raises(errors.UnitFailed, match="middle of a sample"):
            function(b"abc")


@pytest.mark.parametrize("rate_to", SAMPLE_RATES)
def test_resampling_keeps_pitch_and_length(rate_to: int) -> None:
    made = pcm.resample(tone(1.0, 22050), 22050, rate_to)
    assert len(made) / 2 == pytest.approx(rate_to, abs=1)
    assert pitch(made, rate_to) == pytest.approx(440, abs=2)
    assert np.abs(samples(made)).max() == pytest.approx(0.3 * 32768, rel=0.02)


@given(st.lists(st.integers(0, 3000), max_size=8), rates, rates)
def test_resampling_in_pieces_is_resampling(cuts: list[int], rate_from: int, rate_to: int) -> None:
    whole = tone(0.2, rate_from)
    resampler = pcm.Resampler(rate_from, rate_to)
    bounds = [0, *sorted(2 * c for c in cuts), len(whole)]
    pieces = [resampler.feed(whole[a:b]) for a, b in itertools.pairwise(bounds)]
    pieces.append(resampler.finish())
    expected = pcm.Resampler(rate_from, rate_to)
    assert b"".join(pieces) == expected.feed(whole) + expected.finish()
    with pytest.raises(ValueError, match="finished"):
        resampler.feed(whole)


def test_silence_stays_silent_at_another_rate() -> None:
    assert not any(pcm.resample(pcm.silence(1.0, 22050), 22050, 48000))


def test_the_same_rate_is_the_same_bytes() -> None:
    sound = tone(0.1, 8000)
    assert pcm.resample(sound, 8000, 8000) is sound


def test_trimming_keeps_the_sound_and_a_little_around_it() -> None:
    rate = 8000
    sound = b"\0\x10" * 800
    padded = pcm.silence(0.5, rate) + sound + pcm.silence(0.7, rate)
    around = pcm.silence(0.1, rate)
    assert pcm.trim_silence(padded, rate, keep=0.1) == around + sound + around
    assert pcm.trim_silence(sound, rate) == sound
    assert pcm.trim_silence(pcm.silence(1.0, rate), rate, keep=0.1) == around


@given(audio, rates)
def test_trimming_twice_is_trimming_once(audio: bytes, rate: int) -> None:
    once = pcm.trim_silence(audio, rate)
    assert once in audio
    assert pcm.trim_silence(once, rate) == once


LIGHT = """
import sys
from antiphon.audio import codec, pcm, subtitles, tempo, wav
encoder = codec.Encoder("wav", 22050, streaming=True)
encoder.feed(pcm.silence(0.1, 22050)) + encoder.finish()
codec.encode(bytes(100), 24000, "pcm")
print(*[name for name in ("numpy", "av", "soxr") if name in sys.modules])
"""


def test_plain_audio_loads_no_heavy_library() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
