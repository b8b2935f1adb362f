"""What one model did in one hour, small enough to keep a day of them through a restart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from antiphon.stats.distributions import Sketch

_COUNTS = ("requests", "hits", "partial", "failed", "cancelled", "arrived", "cached_units")
_SECONDS = ("audio", "available", "seen")
_SKETCHES = ("waits", "synthesis", "service")


@dataclass(slots=True)
class HourStats:
    """Everything adds up, so hours are merged to longer times."""

    #: Requests and jobs that were accepted; of those that succeeded, how many the cache answered whole, or in part.
    requests: int = 0
    hits: int = 0
    partial: int = 0
    failed: int = 0
    cancelled: int = 0
    #: Segments that came and needed a slot, and those that the cache answered.
    arrived: int = 0
    cached_units: int = 0
    #: Seconds of audio made; of slots that were there; of the hour, during which the server ran.
    audio: float = 0.0
    available: float = 0.0
    seen: float = 0.0
    #: Seconds from accepted to started, and from started to the end, by request; slot seconds, by segment.
    waits: Sketch = field(default_factory=Sketch)
    synthesis: Sketch = field(default_factory=Sketch)
    service: Sketch = field(default_factory=Sketch)

    def merge(self, other: HourStats) -> None:
        for name in (*_COUNTS, *_SECONDS):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _SKETCHES:
            getattr(self, name).merge(getattr(other, name))

    @property
    def utilisation(self) -> float | None:
        """Part of the slots' time that was worked; None while there were none."""
        return min(1.0, self.service.total / self.available) if self.available > 0 else None

    def to_json(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in (*_COUNTS, *_SECONDS)}
        return plain | {name: getattr(self, name).to_json() for name in _SKETCHES}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> HourStats:
        """What `to_json` gave. Raises `ValueError`, `TypeError` or `KeyError` for anything else."""
        counts = {name: int(data[name]) for name in _COUNTS}
        seconds = {name: float(data[name]) for name in _SECONDS}
        if not all(0 <= number < math.inf for number in (*counts.values(), *seconds.values())):
            raise ValueError("not an hour: a number is out of range")
        sketches = {name: Sketch.from_json(data[name]) for name in _SKETCHES}
        return cls(**counts, **seconds, **sketches)  # type: ignore[arg-type]


def merged(hours: Iterable[HourStats]) -> HourStats:
    total = HourStats()
    for hour in hours:
        total.merge(hour)
    return total
