"""Cutting: divides a long recording at its quietest moments, so that no word is split."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Seconds of one measurement of loudness, and of the window to average them: longer than a stop consonant, so that only
#: pauses between words count as quiet.
STEP, SPAN = 0.02, 0.2
#: Loudness above which there is speech, as a fraction of full scale: -50 dB.
AUDIBLE = 10 ** (-50 / 20)


def cuts(audio: bytes, rate: int, longest: float = 30.0, shortest: float = 15.0) -> list[tuple[int, int]]:
    """(first sample, one after the last) of each piece of mono 16-bit PCM, in order.

    A piece has at most `longest` seconds and, except the last, at least `shortest`. Silent pieces are left out.
    """
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
            # The latest of the quietest steps, for fewer pieces with more context each.
            last = first + least + len(window) - 1 - int(np.argmin(window[::-1]))
        if loud[first:last].max() > AUDIBLE:
            found.append((first * step, min(last * step, len(samples))))
        first = last
    return found


def _loudness(samples: NDArray[np.int16], step: int) -> NDArray[np.float32]:
    """The root mean square of each step, where 1 is full scale. The last step may be shorter."""
    import numpy as np

    # In parts, since the squares need four times the memory of the samples, and a recording may last for hours.
    parts = []
    for start in range(0, len(samples), step * 4096):
        part = samples[start : start + step * 4096].astype(np.float32) / 32768
        part = np.pad(part, (0, -len(part) % step))
        parts.append(np.sqrt(np.square(part).reshape(-1, step).mean(axis=1)))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
