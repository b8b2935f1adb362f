"""The observer: hears what happens to jobs, segments and requests, and counts it. Nothing waits for it.

It feeds two books: the tally, which Prometheus reads, and the statistics, which people read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from antiphon.audio import pcm
from antiphon.domain.event import EventType
from antiphon.domain.unit import UnitResult
from antiphon.stats.counters import Counters
from antiphon.stats.daily import Statistics

if TYPE_CHECKING:
    from antiphon.jobs.active import ActiveJob

#: Hears of a live job's events at once; it must be quick and must not raise.
Listener = Callable[["ActiveJob", EventType], None]

_ENDINGS: Mapping[EventType, str] = {
    "job.succeeded": "succeeded",
    "job.failed": "failed",
    "job.cancelled": "cancelled",
}
#: Seconds; a promise of less is not measured, since what it is off by is chance.
TELLING = 0.1


class Observer:
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since the epoch."""
        self._clock = clock
        self.counters = Counters()
        self.statistics = Statistics(clock)
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    # Jobs

    def told(self, active: ActiveJob, type_: EventType, extra: Mapping[str, Any] | None = None) -> None:
        """Every event of a job, at the moment when it is published."""
        match type_:
            case "job.queued":
                self._queued(active)
            case "job.started":
                self._started(active)
            case "unit.done":
                active.made_at = self._clock()
                if extra is not None and extra.get("cached"):
                    self._cached(active.served.name, 1)
            case "job.succeeded" | "job.failed" | "job.cancelled":
                self._ended(active, _ENDINGS[type_])
            case _:
                return
        for listener in self._listeners:
            listener(active, type_)

    def _queued(self, active: ActiveJob) -> None:
        # What an earlier life accepted was counted there.
        if active.arrived is None:
            self.counters.jobs[active.served.name, active.priority, "accepted"] += 1
            self.statistics.request(active.served.name)
        if active.units.cached == active.units.total:
            self._cached(active.served.name, active.units.cached)

    def _started(self, active: ActiveJob) -> None:
        model = active.served.name
        self._cached(model, active.units.cached)
        if active.arrived is None and active.started_at is not None and active.units.cached < active.units.total:
            seconds = max(0.0, active.started_at - active.created_at)
            self.counters.waits[model, active.priority].add(seconds)
            self.statistics.now(model).waits.add(seconds)

    def _ended(self, active: ActiveJob, outcome: str) -> None:
        model, now = active.served.name, self._clock()
        self.counters.jobs[model, active.priority, outcome] += 1
        hour = self.statistics.now(model)
        if outcome != "succeeded":
            hour.failed += outcome == "failed"
            hour.cancelled += outcome == "cancelled"
            return
        if active.units.cached >= active.units.total:
            hour.hits += 1
        else:
            hour.partial += active.units.cached > 0
            seconds = max(0.0, now - (active.started_at or now))
            self.counters.synthesis[model,].add(seconds)
            hour.synthesis.add(seconds)
        if active.told is not None and active.told >= TELLING:
            self.counters.eta.add((now - active.created_at) / active.told)

    def _cached(self, model: str, units: int) -> None:
        if units:
            self.counters.units[model, "cache"] += units
            self.statistics.now(model).cached_units += units

    def promised(self, active: ActiveJob, eta: float | None) -> None:
        """A job was accepted, and its owner told when it will be done."""
        active.told = eta

    def committed(self, seconds: float) -> None:
        """It took so long until an accepted job was on disk."""
        self.counters.commit.add(seconds)

    # Segments

    def arrived(self, active: ActiveJob, units: int) -> None:
        """So many segments of a job need a slot."""
        if active.arrived is None:
            self.statistics.now(active.served.name).arrived += units

    def served(self, model: str, result: UnitResult, took: float) -> None:
        """A worker made a segment; its slot was taken for so many seconds."""
        self.counters.units[model, "worker"] += 1
        self.counters.service[model,].add(took)
        hour = self.statistics.now(model)
        hour.service.add(took)
        rate = result.meta.get("sample_rate")
        if rate:
            audio = pcm.duration(len(result.payload), int(rate))
            self.counters.audio[model,] += audio
            hour.audio += audio
            if audio > 0:
                self.counters.rtf[model,].add(result.seconds / audio)

    # Requests

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self.counters.http[method, route, str(status)] += 1
        self.counters.http_seconds[route,].add(seconds)

    def refused(self, reason: str) -> None:
        self.counters.refusals[reason,] += 1

    # Time

    def beat(self, late: float, passed: float, slots: Iterable[tuple[str, int]]) -> None:
        """The event loop came `late` seconds to its tick; so many passed since the last, with these slots by model."""
        self.counters.lag.add(late)
        for model, count in slots:
            self.statistics.passed(model, passed, count)
