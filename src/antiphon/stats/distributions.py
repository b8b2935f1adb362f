"""Distributions in bounded memory: a sketch for percentiles, and a histogram with fixed buckets for Prometheus."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

#: Largest relative error of a percentile.
ACCURACY = 0.05
#: Seconds; smaller and larger values count as these, which bounds the buckets to about 230.
MIN_VALUE, MAX_VALUE = 1e-4, 1e6

_LOG_GAMMA = math.log((1 + ACCURACY) / (1 - ACCURACY))


class Sketch:
    """Counts numbers ≥ 0 in buckets of constant relative width, with their sum and the sum of their squares.

    The bounds of buckets grow by a constant factor (Masson, Rim and Lee, "DDSketch", VLDB 2019), so that sketches can
    be merged.
    """

    __slots__ = ("buckets", "count", "largest", "squares", "total")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.total = self.squares = self.largest = 0.0

    def add(self, value: float) -> None:
        """Adds a number; ignores one that is negative, infinite or NaN."""
        if not 0 <= value < math.inf:
            return
        index = math.ceil(math.log(min(max(value, MIN_VALUE), MAX_VALUE)) / _LOG_GAMMA)
        self.buckets[index] = self.buckets.get(index, 0) + 1
        self.count += 1
        self.total += value
        self.squares += value * value
        self.largest = max(self.largest, value)

    def merge(self, other: Sketch) -> None:
        for index, count in other.buckets.items():
            self.buckets[index] = self.buckets.get(index, 0) + count
        self.count += other.count
        self.total += other.total
        self.squares += other.squares
        self.largest = max(self.largest, other.largest)

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    @property
    def variance(self) -> float:
        return max(0.0, self.squares / self.count - self.mean**2) if self.count else 0.0

    def percentile(self, part: float) -> float | None:
        """The number that a `part` (0 to 1) of all numbers does not exceed, within `ACCURACY`; None without numbers."""
        rank, seen = max(1, math.ceil(part * self.count)), 0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if seen >= rank:
                # The value with the same relative error to both bounds of the bucket.
                middle = 2 * math.exp(index * _LOG_GAMMA) / (1 + math.exp(_LOG_GAMMA))
                return min(middle, self.largest)
        return None

    def to_json(self) -> dict[str, Any]:
        buckets = [[index, count] for index, count in sorted(self.buckets.items())]
        return {"buckets": buckets, "total": self.total, "squares": self.squares, "largest": self.largest}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sketch:
        """The sketch that `to_json` wrote. Raises `ValueError`, `TypeError` or `KeyError` for anything else."""
        sketch = cls()
        sketch.buckets = {int(index): int(count) for index, count in data["buckets"]}
        sketch.total, sketch.squares, sketch.largest = (float(data[name]) for name in ("total", "squares", "largest"))
        sketch.count = sum(sketch.buckets.values())
        bounds = (math.floor(math.log(MIN_VALUE) / _LOG_GAMMA), math.ceil(math.log(MAX_VALUE) / _LOG_GAMMA))
        if any(not bounds[0] <= index <= bounds[1] or count < 0 for index, count in sketch.buckets.items()):
            raise ValueError("not a sketch: a bucket is out of range")
        if not all(0 <= number < math.inf for number in (sketch.total, sketch.squares, sketch.largest)):
            raise ValueError("not a sketch: a number is out of range")
        return sketch


class Histogram:
    """Counts in fixed buckets, in the form of Prometheus."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds`: ascending upper bounds of all buckets except the last, which has none."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
