"""The leak detector: tells whether a worker's memory grows with every unit and does not level off."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import combinations
from statistics import median

#: Measurements that are remembered, each after at least one more unit.
WINDOW = 48
#: Measurements before a leak is reported: a model's first units fill caches and pools.
LEAST = 32


class LeakDetector:
    """Follows one worker's size over its units. Pure: sizes are passed in."""

    def __init__(self, bytes_: int) -> None:
        """`bytes_` of steady growth within the window are a leak; 0: nothing ever is."""
        self._bytes = bytes_
        self._seen: deque[tuple[int, int]] = deque(maxlen=WINDOW)

    def look(self, units: int, size: int) -> bool:
        """Takes the size (bytes) after a number of units; returns whether this is a leak."""
        if not self._bytes or (self._seen and units <= self._seen[-1][0]):
            return False
        self._seen.append((units, size))
        if len(self._seen) < LEAST:
            return False
        points = tuple(self._seen)
        slope, late = _slope(points), _slope(points[-(len(points) // 4) :])
        grown = slope * (points[-1][0] - points[0][0])
        # Growth that levels off has filled something that may stay; a leak goes on as it began.
        return grown >= max(self._bytes, _chance(points, slope)) and late >= slope / 2


def _slope(points: Sequence[tuple[int, int]]) -> float:
    """Bytes per unit: the median of the slopes of all pairs, which single jumps do not move (Theil 1950, Sen 1968)."""
    return median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2))


def _chance(points: Sequence[tuple[int, int]], slope: float) -> float:
    """Bytes of growth that sizes without a trend show by chance, once in ten thousand windows: four standard errors of
    a line's slope over n even steps, sigma sqrt(12) / n^1.5 each, times the n steps."""
    offsets = [size - slope * units for units, size in points]
    middle = median(offsets)
    sigma = 1.4826 * median(abs(offset - middle) for offset in offsets)
    return float(4 * sigma * (12 / len(points)) ** 0.5)
