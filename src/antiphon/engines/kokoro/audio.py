"""Audio: turns the model's samples into 16-bit PCM that can be joined, with silence trimmed and edges faded."""

from __future__ import annotations

from typing import Any

#: Hz.
RATE = 24000
#: Seconds of silence that stay before and after the speech; Kokoro itself leaves about 0.3 and 0.5.
LEAD, TAIL = 0.03, 0.12
#: Seconds.
FADE = 0.005
#: Seconds of a frame whose loudness is measured.
FRAME = 0.01
#: Loudness (RMS), as a fraction of the loudest frame, below which a frame is silence. Breath and final consonants are
#: louder.
FLOOR = 0.006


def pcm(audio: Any) -> bytes:
    """Float32 samples (-1 to 1, one dimension) as mono signed 16-bit little-endian PCM."""
    import numpy as np

    audio = _trimmed(np.asarray(audio, dtype=np.float32))
    fade = min(int(FADE * RATE), len(audio) // 2)
    if fade:
        ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
        audio[:fade] *= ramp
        audio[-fade:] *= ramp[::-1]
    samples = np.clip(np.nan_to_num(audio), -1.0, 1.0) * 32767.0
    return bytes(np.round(samples).astype("<i2").tobytes())


def _trimmed(audio: Any) -> Any:
    """A copy from shortly before the first sound to shortly after the last."""
    import numpy as np

    frame = int(FRAME * RATE)
    count = len(audio) // frame
    if count == 0:
        return audio.copy()
    loudness = np.sqrt(np.mean(np.square(audio[: count * frame].reshape(count, frame)), axis=1))
    loud = np.flatnonzero(loudness > FLOOR * loudness.max())
    if len(loud) == 0:
        return audio.copy()
    start = max(0, int(loud[0]) * frame - int(LEAD * RATE))
    end = min(len(audio), (int(loud[-1]) + 1) * frame + int(TAIL * RATE))
    return audio[start:end].copy()


def silence(seconds: float) -> bytes:
    return b"\0\0" * int(seconds * RATE)
