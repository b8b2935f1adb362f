"""Distributions in bounded memory: a sketch that is asked for percentiles, and counts in fixed buckets for a scrape."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

#: A percentile is off by no more than this part of itself.
ACCURACY = 0.05
#: Seconds; smaller and greater numbers count as these, so that there are never more than about 230 buckets.
LEAST, MOST = 1e-4, 1e6

_LOG_GAMMA = math.log((1 + ACCURACY) / (1 - ACCURACY))


class Sketch:
    """Numbers ≥ 0 counted by their relative size, with their sum and the sum of their squares.

    Buckets grow by a constant factor (Masson, Rim and Lee, "DDSketch", VLDB 2019), so sketches can be added up.
    """

    __slots__ = ("buckets", "count", "largest", "squares", "total")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.total = self.squares = self.largest = 0.0

    def add(self, value: float) -> None:
        """Takes a number in; what cannot be is ignored."""
        if not 0 <= value < math.inf:
            return
        index = math.ceil(math.log(min(max(value, LEAST), MOST)) / _LOG_GAMMA)
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
        """The number that `part` (0 to 1) of all are no greater than, within `ACCURACY`; None if there are none."""
        rank, seen = max(1, math.ceil(part * self.count)), 0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if seen >= rank:
                # The middle of a bucket, by relative error.
                middle = 2 * math.exp(index * _LOG_GAMMA) / (1 + math.exp(_LOG_GAMMA))
                return min(middle, self.largest)
        return None

    def to_json(self) -> dict[str, Any]:
        buckets = [[index, count] for index, count in sorted(self.buckets.items())]
        return {"buckets": buckets, "total": self.total, "squares": self.squares, "largest": self.largest}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sketch:
        """What `to_json` gave. Raises `ValueError`, `TypeError` or `KeyError` for anything else."""
        made = cls()
        made.buckets = {int(index): int(count) for index, count in data["buckets"]}
        made.total, made.squares, made.largest = (float(data[name]) for name in ("total", "squares", "largest"))
        made.count = sum(made.buckets.values())
        bounds = (math.floor(math.log(LEAST) / _LOG_GAMMA), math.ceil(math.log(MOST) / _LOG_GAMMA))
        if any(not bounds[0] <= index <= bounds[1] or count < 0 for index, count in made.buckets.items()):
            raise ValueError("not a sketch: a bucket is out of range")
        if not all(0 <= number < math.inf for number in (made.total, made.squares, made.largest)):
            raise ValueError("not a sketch: a number is out of range")
        return made


class Histogram:
    """Counts in fixed buckets since the start, as Prometheus wants them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds`: upper bounds of all buckets but the last, which has none; ascending."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
