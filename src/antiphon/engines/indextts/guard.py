"""The quality guard: whether what a model made can be that text, by its length and its loudness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

#: Seconds of the frames whose loudness is looked at.
FRAME = 0.02
#: Of full scale, the root mean square under which a frame is silence (-46 dB).
SILENCE = 0.005
#: Seconds that any text may take besides its characters: breaths, and the pause at its end.
SLACK = 3.0


@dataclass(frozen=True, slots=True)
class Guard:
    """Bounds on seconds per character; a Chinese or Japanese character counts as `CJK` letters.

    The bounds do not move: if they were learned from what a process spoke before, the same request would be spoken
    anew in one process and not in another, and a seed would mean nothing.
    """

    #: 40 letters a second: nobody speaks as fast.
    fastest: float = 0.025
    #: Two and a half letters a second: slower than any mood.
    slowest: float = 0.4

    def longest(self, length: float, duration: float) -> float:
        """Seconds that a text of so many letters takes at most, at `duration` times its usual time."""
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


#: Letters that a character of these scripts counts as.
CJK = 2.5


def letters(text: str) -> float:
    """How long a text is to say: its letters and digits."""
    return sum(CJK if ch >= "\u2e80" else 1.0 for ch in text if ch.isalnum())


def _loud(audio: Any, rate: int) -> float:
    """Seconds that are not silence."""
    size = max(1, int(rate * FRAME))
    frames = np.asarray(audio[: len(audio) - len(audio) % size], dtype=np.float32).reshape(-1, size) / 32768
    return float(np.count_nonzero(np.sqrt(np.mean(frames * frames, axis=1)) > SILENCE)) * FRAME
