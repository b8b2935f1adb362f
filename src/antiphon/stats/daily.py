"""Daily statistics: figures of the last day by hour and model. The clock is passed in.

Memory is bounded: 24 hours and 60 minutes for each model, with sketches for percentiles. No client, text or job id is
recorded.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from antiphon.stats.hour import HourStats, merged

HOURS, MINUTES = 24, 60
#: Most models that are read back; the catalog has far fewer.
MODELS = 64


class Statistics:
    """The statistics of a server. Hours are numbered from the epoch, so that those of a previous process fit in."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since the epoch."""
        self._clock = clock
        self._hours: dict[str, dict[int, HourStats]] = {}
        #: Minute since the epoch and requests in it, by model.
        self._minutes: dict[str, deque[tuple[int, int]]] = {}

    def now(self, model: str) -> HourStats:
        """The statistics of the present hour, to count into."""
        number = int(self._clock() // 3600)
        hours = self._hours.setdefault(model, {})
        hour = hours.get(number)
        if hour is None:
            hour = hours[number] = HourStats()
            # If the clock was set back, there are hours in the future; they are removed like those that are too old.
            for each in [n for n in hours if not number - HOURS < n <= number]:
                del hours[each]
        return hour

    def request(self, model: str) -> None:
        """Counts an accepted request."""
        self.now(model).requests += 1
        minute = int(self._clock() // 60)
        minutes = self._minutes.setdefault(model, deque(maxlen=MINUTES))
        if minutes and minutes[-1][0] == minute:
            minutes[-1] = (minute, minutes[-1][1] + 1)
        else:
            minutes.append((minute, 1))

    def passed(self, model: str, seconds: float, slots: int) -> None:
        """Counts `seconds` during which the server ran and the model had so many slots."""
        hour = self.now(model)
        hour.seen += seconds
        hour.available += seconds * slots

    def hours(self, model: str | None = None) -> list[tuple[float, HourStats]]:
        """The last 24 hours, oldest first, each with its start in seconds since the epoch."""
        chosen = list(self._hours.values()) if model is None else [self._hours.get(model, {})]
        first = self._first()
        return [(n * 3600.0, merged(hours[n] for hours in chosen if n in hours)) for n in range(first, first + HOURS)]

    def minutes(self, model: str | None = None) -> list[int]:
        """Requests in each of the last 60 minutes, oldest first."""
        first = int(self._clock() // 60) - MINUTES + 1
        counts = [0] * MINUTES
        for name, minutes in self._minutes.items():
            if model in (None, name):
                for minute, count in minutes:
                    if first <= minute < first + MINUTES:
                        counts[minute - first] += count
        return counts

    def _first(self) -> int:
        return int(self._clock() // 3600) - HOURS + 1

    def to_json(self) -> dict[str, Any]:
        """The hours of the last day as JSON values."""
        first = self._first()
        return {
            model: {str(n): hour.to_json() for n, hour in hours.items() if n >= first}
            for model, hours in self._hours.items()
        }

    def load_json(self, data: object) -> None:
        """Adds what `to_json` gave. Passes over what is malformed or too old."""
        if not isinstance(data, Mapping):
            return
        newest = int(self._clock() // 3600)
        for model, stored in list(data.items())[:MODELS]:
            if not isinstance(stored, Mapping):
                continue
            for number, hour in stored.items():
                try:
                    when, stats = int(number), HourStats.from_json(hour)
                except (ValueError, TypeError, KeyError, AttributeError):
                    continue
                if newest - HOURS < when <= newest:
                    self._hours.setdefault(str(model), {}).setdefault(when, HourStats()).merge(stats)
