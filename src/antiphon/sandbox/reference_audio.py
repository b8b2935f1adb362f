"""Reference audio: decodes a recording, and checks its length, level and clipping before a model clones its voice."""

from __future__ import annotations

import math

from antiphon.audio import decode, pcm, wav
from antiphon.domain import errors

#: Bytes of an upload (the limit of vLLM-Omni), and its seconds before silence is trimmed.
MAX_BYTES, MAX_RAW_SECONDS = 10 * 1024 * 1024, 120.0
#: Seconds of sound after trimming: least and most.
MIN_SECONDS, MAX_SECONDS = 1.0, 60.0
#: Hz; a recording at a higher rate is resampled to it.
MAX_RATE = 48_000
#: Samples this far below the peak (a ratio: 40 dB) count as silence; seconds of it left at each end.
BELOW_PEAK, MARGIN = 100, 0.1
#: Lowest mean level of the whole recording, in dBFS; speech at arm's length is 20 dB louder.
MIN_LEVEL = -45.0
#: Largest share of samples at full scale; only overdriven input has more.
MAX_CLIPPED = 0.02
_FULL = 32_767


def read(data: bytes) -> bytes:
    """The recording as a mono 16-bit WAV file. Raises `InvalidRequest` with the wrong figure and the remedy. Call it in
    the sandbox's child process only: it decodes an untrusted file."""
    audio, rate = decode.decode(data, max_seconds=MAX_RAW_SECONDS, max_bytes=MAX_BYTES)
    return prepare(audio, rate)


def warm_up() -> None:
    """Reads two seconds of a square wave, at a rate that needs resampling."""
    rate = 2 * MAX_RATE
    wave = (b"\0\x20" * 100 + b"\0\xe0" * 100) * (2 * rate // 200)
    read(wav.header(rate, len(wave)) + wave)


def prepare(audio: bytes, rate: int) -> bytes:
    """Trims, checks and resamples to at most `MAX_RATE`; `audio` is mono PCM at `rate` Hz. Raises `InvalidRequest`."""
    import numpy as np

    peak = int(np.abs(np.frombuffer(audio, "<i2").astype(np.int32)).max(initial=0))
    if peak <= pcm.SILENCE:
        raise errors.InvalidRequest(
            f"The recording is silent: its loudest moment is {_decibels(peak)}. Check the microphone and record again"
        )
    audio = pcm.trim_silence(audio, rate, MARGIN, max(pcm.SILENCE, peak // BELOW_PEAK))
    _check_length(pcm.duration(len(audio), rate))
    if rate > MAX_RATE:
        audio, rate = pcm.resample(audio, rate, MAX_RATE), MAX_RATE
    _check_level(audio)
    return wav.header(rate, len(audio)) + audio


def _check_length(seconds: float) -> None:
    if seconds < MIN_SECONDS:
        raise errors.InvalidRequest(
            f"Without the silence the recording is {seconds:.2f} seconds long; {MIN_SECONDS:g} to {MAX_SECONDS:g} are "
            "taken, and 5 to 15 seconds of one person speaking serve best"
        )
    if seconds > MAX_SECONDS:
        raise errors.InvalidRequest(
            f"Without the silence the recording is {seconds:.1f} seconds long; at most {MAX_SECONDS:g} are taken. "
            "Cut out 5 to 15 seconds of one person speaking"
        )


def _check_level(audio: bytes) -> None:
    import numpy as np

    samples = np.frombuffer(audio, "<i2")
    level = math.sqrt(float(np.mean(np.square(samples, dtype=np.float32), dtype=np.float64)))
    if level < 10 ** (MIN_LEVEL / 20) * _FULL:
        raise errors.InvalidRequest(
            f"The recording is too quiet: {_decibels(level)} on average, and at least {MIN_LEVEL:g} dBFS are needed. "
            "Speak closer to the microphone, or raise its level"
        )
    clipped = float(np.mean((samples >= _FULL) | (samples <= -_FULL)))
    if clipped > MAX_CLIPPED:
        raise errors.InvalidRequest(
            f"The recording is overdriven: {clipped:.0%} of its samples are clipped, and at most {MAX_CLIPPED:.0%} "
            "may be. Lower the microphone's level and record again"
        )


def _decibels(level: float) -> str:
    return f"{20 * math.log10(level / _FULL):.0f} dBFS" if level else "digital silence"
