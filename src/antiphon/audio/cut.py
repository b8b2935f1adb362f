"""Where a long recording can be cut: at its quietest moments, so that no word is divided."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Seconds of one look, and of those that are weighed together: a pause between words is longer than a stop consonant.
STEP, SPAN = 0.02, 0.2
#: Loudness over which something is said: -50 dB below full scale (a ratio).
AUDIBLE = 10 ** (-50 / 20)


def cuts(audio: bytes, rate: int, longest: float = 30.0, shortest: float = 15.0) -> list[tuple[int, int]]:
    """(first sample, one after the last) of the pieces of mono 16-bit PCM, in order; each lasts at most `longest`
    seconds, and all but the last at least `shortest`. Pieces without any sound are left out."""
    import numpy as np

    samples = np.frombuffer(audio, "<i2")
    step = max(1, int(rate * STEP))
    loud = _loudness(samples, step)
    span = max(1, round(SPAN / STEP))
    near = np.convolve(loud, np.full(span, 1 / span, np.float32), "same") if len(loud) else loud
    most, least = int(longest / STEP), int(shortest / STEP)
    found: list[tuple[int, int]] = []
    first = 0
    while first < len(loud):
        last = len(loud)
        if last - first > most:
            window = near[first + least : first + most]
            # The latest of the quietest: fewer pieces, and each with more to go by.
            last = first + least + len(window) - 1 - int(np.argmin(window[::-1]))
        if loud[first:last].max() > AUDIBLE:
            found.append((first * step, min(last * step, len(samples))))
        first = last
    return found


def _loudness(samples: NDArray[np.int16], step: int) -> NDArray[np.float32]:
    """The root mean square of each step, 1 is full scale; the last step may be shorter."""
    import numpy as np

    # In parts: a square needs four times the memory of its sample, and recordings last for hours.
    parts = []
    for start in range(0, len(samples), step * 4096):
        part = samples[start : start + step * 4096].astype(np.float32) / 32768
        part = np.pad(part, (0, -len(part) % step))
        parts.append(np.sqrt(np.square(part).reshape(-1, step).mean(axis=1)))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
