"""Hour statistics: what one model did in one hour, small enough to store a day of them for a restart."""

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
    """Figures that add up, so that hours can be merged into longer periods."""

    #: Accepted requests and jobs; those that succeeded and came from the cache entirely, or in part.
    requests: int = 0
    hits: int = 0
    partial: int = 0
    failed: int = 0
    cancelled: int = 0
    #: Segments that needed a slot, and segments found in the cache.
    arrived: int = 0
    cached_units: int = 0
    #: Seconds of audio computed; slot seconds available; seconds of the hour during which the server ran.
    audio: float = 0.0
    available: float = 0.0
    seen: float = 0.0
    #: Seconds from accepted to started and from started to the end of a request; slot seconds of a segment.
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
        """Busy part of the available slot seconds; None if there were none."""
        return min(1.0, self.service.total / self.available) if self.available > 0 else None

    def to_json(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in (*_COUNTS, *_SECONDS)}
        return plain | {name: getattr(self, name).to_json() for name in _SKETCHES}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> HourStats:
        """The hour that `to_json` wrote. Raises `ValueError`, `TypeError` or `KeyError` for anything else."""
        counts = {name: int(data[name]) for name in _COUNTS}
        seconds = {name: float(data[name]) for name in _SECONDS}
        if not all(0 <= number < math.inf for number in (*counts.values(), *seconds.values())):
            raise ValueError("not an hour: a number is out of range")
        sketches = {name: Sketch.from_json(data[name]) for name in _SKETCHES}
        return cls(**counts, **seconds, **sketches)  # type: ignore[arg-type]


def merged(hours: Iterable[HourStats]) -> HourStats:
    """The sum of several hours."""
    total = HourStats()
    for hour in hours:
        total.merge(hour)
    return total
