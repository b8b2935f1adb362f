"""Quality guard: says whether audio can be the text that it was made from, by its length and its loudness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Seconds of a frame whose loudness is measured.
FRAME = 0.02
#: Root mean square, as a fraction of full scale, below which a frame is silence (-46 dB).
SILENCE = 0.005
#: Seconds that any text may take beside its characters: for breaths, and the pause at its end.
SLACK = 3.0


@dataclass(frozen=True, slots=True)
class Guard:
    """Bounds on seconds per character; a Chinese or Japanese character counts as `CJK` letters.

    The bounds are fixed. If a process learned them from what it spoke before, the same request could pass in one
    process and be repeated in another, and a seed would not decide the audio.
    """

    #: 40 letters a second: no person speaks as fast.
    fastest: float = 0.025
    #: Two and a half letters a second: slower than any emotion.
    slowest: float = 0.4

    def longest(self, length: float, duration: float) -> float:
        """Most seconds that a text of `length` letters takes, at `duration` times its usual time."""
        return (self.slowest * length + SLACK) * duration

    def problem(self, audio: Any, rate: int, length: float, duration: float) -> str | None:
        """What is wrong with `audio` (one dimension, int16), in words; None if nothing is."""
        seconds = len(audio) / rate
        if not seconds:
            return "no sound came out"
        loud = _loud(audio, rate)
        if not loud:
            return "only silence came out"
        if seconds >= self.longest(length, duration):
            return f"it did not come to an end in {seconds:.1f} s"
        if loud < self.fastest * length * duration:
            return f"it broke off after {loud:.1f} s of speech"
        return None


#: Letters that one Chinese, Japanese or Korean character counts as.
CJK = 2.5


def letters(text: str) -> float:
    """Length of a text as it is spoken: its letters and digits."""
    return sum(CJK if ch >= "\u2e80" else 1.0 for ch in text if ch.isalnum())


def _loud(audio: Any, rate: int) -> float:
    """Seconds of the audio that are not silence."""
    import numpy as np

    size = max(1, int(rate * FRAME))
    frames = np.asarray(audio[: len(audio) - len(audio) % size], dtype=np.float32).reshape(-1, size) / 32768
    return float(np.count_nonzero(np.sqrt(np.mean(frames * frames, axis=1)) > SILENCE)) * FRAME
