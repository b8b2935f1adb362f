"""Excerpt: which seconds of a recording the model hears: those with most voice, begun and ended where nobody speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Seconds of a frame, by which loudness is measured.
FRAME = 0.02
#: A frame has voice if it is at most so many decibels below the recording's loud frames, and so many above its quiet
#: ones, which are noise.
BELOW, ABOVE = 30.0, 8.0
#: Parts of all frames that are quieter than the quiet ones, and than the loud ones.
QUIET, LOUD = 0.1, 0.98
#: A sample above this part of full scale is cut off, and a frame with one is worth nothing.
CLIPPED = 0.99
#: What it costs to begin or to end in the middle of a word, as a part of the window.
SEAM = 0.03
#: Decibels below which there is no voice, whatever the others are.
SILENT = -70.0


def best(samples: NDArray[np.float32], rate: int, seconds: float) -> tuple[int, int]:
    """First and last sample (exclusive) of the best `seconds` of a recording; all of one that is not longer.

    `samples` [n] from -1 to 1, at `rate` Hz. Of several that are as good the first one is chosen.
    """
    import numpy as np

    wanted = int(seconds * rate)
    if len(samples) <= wanted:
        return 0, len(samples)
    size = max(1, round(FRAME * rate))
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    width = min(wanted // size, len(frames))
    voiced, worth = _voice(frames)
    sums = np.concatenate(([0.0], np.cumsum(worth)))
    score = sums[width:] - sums[: len(sums) - width]
    # Where the neighbours on both sides of a seam have voice, it is in the middle of a word; at the recording's own
    # ends there is none.
    seams = np.concatenate(([False], voiced[1:] & voiced[:-1], [False]))
    cost = SEAM * width
    score = score - cost * seams[: len(score)] - cost * seams[width : width + len(score)]
    # A window is seldom a whole number of frames, so the last one would end beyond the recording.
    start = min(int(np.argmax(score)) * size, len(samples) - wanted)
    return start, start + wanted


def _voice(frames: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which frames [n, samples] have voice, and what each is worth."""
    import numpy as np

    power = np.mean(frames.astype(np.float64) ** 2, axis=1)
    loudness = 10 * np.log10(np.maximum(power, 10 ** (SILENT / 10)))
    quiet, loud = np.quantile(loudness, QUIET), np.quantile(loudness, LOUD)
    # A recording without pauses has no quiet frames; then only what is far below the loud ones is none.
    floor = quiet + ABOVE if loud - quiet > 2 * ABOVE else SILENT
    voiced = loudness >= max(loud - BELOW, floor)
    clipped = np.abs(frames).max(axis=1) >= CLIPPED
    return voiced, (voiced & ~clipped).astype(np.float64)
