"""Trimming: turns a model's samples into 16-bit PCM that can be joined, with silence trimmed and edges faded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

#: Seconds of silence that stay before and after the speech; Kokoro itself leaves about 0.3 and 0.5, Piper 0.1 to 0.4.
LEAD, TAIL = 0.03, 0.12
#: Seconds that stay after speech that goes on in the next segment: a sentence is not to stop where it was cut.
JOIN = 0.05
#: Seconds.
FADE = 0.005
#: Seconds of a frame whose loudness is measured.
FRAME = 0.01
#: Loudness (RMS), as a fraction of the loudest frame, below which a frame is silence. Breath and final consonants are
#: louder.
FLOOR = 0.006


def pcm(audio: Any, rate: int, *, tail: float = TAIL) -> bytes:
    """Float32 samples (-1 to 1, one dimension, at `rate` Hz) as mono signed 16-bit little-endian PCM; `tail`: seconds
    after the last sound."""
    return next(gradual(iter(((audio, True),)), rate, tail=tail))


def gradual(parts: Iterable[tuple[Any, bool]], rate: int, *, tail: float = TAIL) -> Iterator[bytes]:
    """PCM of samples that come in parts, each with whether it is the last. Silence is measured by what was heard so
    far, since the loudest sound may still come."""
    import numpy as np

    loudest, begun = 0.0, False
    held: list[Any] = []
    for samples, last in parts:
        audio = np.concatenate([*held, np.asarray(samples, np.float32)]) if held else np.array(samples, np.float32)
        loudness = _loudness(audio, rate)
        loudest = max(loudest, float(loudness.max(initial=0.0)))
        loud = np.flatnonzero(loudness > FLOOR * loudest)
        if not begun and not last and not len(loud):
            # Nothing but silence yet: what follows says how much of it stays.
            held = [audio]
            continue
        audio = _trimmed(audio, loud, rate, lead=None if begun else LEAD, tail=tail if last else None)
        _fade(audio, rate, before=not begun, after=last)
        held, begun = [], True
        samples = np.clip(np.nan_to_num(audio), -1.0, 1.0) * 32767.0
        yield bytes(np.round(samples).astype("<i2").tobytes())


def _loudness(audio: Any, rate: int) -> Any:
    """RMS of each whole frame."""
    import numpy as np

    frame = int(FRAME * rate)
    count = len(audio) // frame
    return np.sqrt(np.mean(np.square(audio[: count * frame].reshape(count, frame)), axis=1))


def _trimmed(audio: Any, loud: Any, rate: int, *, lead: float | None, tail: float | None) -> Any:
    """From `lead` seconds before the first loud frame to `tail` seconds after the last; None: all that is there."""
    frame = int(FRAME * rate)
    if not len(loud):
        return audio
    start = 0 if lead is None else max(0, int(loud[0]) * frame - int(lead * rate))
    end = len(audio) if tail is None else min(len(audio), (int(loud[-1]) + 1) * frame + int(tail * rate))
    return audio[start:end]


def _fade(audio: Any, rate: int, *, before: bool, after: bool) -> None:
    """Raises the samples from nothing at the beginning, lowers them at the end."""
    import numpy as np

    fade = min(int(FADE * rate), len(audio) // 2)
    if not fade:
        return
    ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
    if before:
        audio[:fade] *= ramp
    if after:
        audio[-fade:] *= ramp[::-1]


def silence(seconds: float, rate: int) -> bytes:
    return b"\0\0" * int(seconds * rate)
