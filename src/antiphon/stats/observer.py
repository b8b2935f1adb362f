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
from antiphon.stats.counters import Tally
from antiphon.stats.daily import Statistics

if TYPE_CHECKING:
    from antiphon.jobs.active import Live

#: Hears of a live job's events at once; it must be quick and must not raise.
Listener = Callable[["Live", EventType], None]

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
        self.tally = Tally()
        self.statistics = Statistics(clock)
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    # Jobs

    def told(self, live: Live, type_: EventType, extra: Mapping[str, Any] | None = None) -> None:
        """Every event of a job, at the moment when it is published."""
        match type_:
            case "job.queued":
                self._queued(live)
            case "job.started":
                self._started(live)
            case "unit.done":
                live.made_at = self._clock()
                if extra is not None and extra.get("cached"):
                    self._cached(live.hosted.name, 1)
            case "job.succeeded" | "job.failed" | "job.cancelled":
                self._ended(live, _ENDINGS[type_])
            case _:
                return
        for listener in self._listeners:
            listener(live, type_)

    def _queued(self, live: Live) -> None:
        # What an earlier life accepted was counted there.
        if live.arrived is None:
            self.tally.jobs[live.hosted.name, live.priority, "accepted"] += 1
            self.statistics.request(live.hosted.name)
        if live.units.cached == live.units.total:
            self._cached(live.hosted.name, live.units.cached)

    def _started(self, live: Live) -> None:
        model = live.hosted.name
        self._cached(model, live.units.cached)
        if live.arrived is None and live.started_at is not None and live.units.cached < live.units.total:
            seconds = max(0.0, live.started_at - live.created_at)
            self.tally.waits[model, live.priority].add(seconds)
            self.statistics.now(model).waits.add(seconds)

    def _ended(self, live: Live, outcome: str) -> None:
        model, now = live.hosted.name, self._clock()
        self.tally.jobs[model, live.priority, outcome] += 1
        hour = self.statistics.now(model)
        if outcome != "succeeded":
            hour.failed += outcome == "failed"
            hour.cancelled += outcome == "cancelled"
            return
        if live.units.cached >= live.units.total:
            hour.hits += 1
        else:
            hour.partial += live.units.cached > 0
            seconds = max(0.0, now - (live.started_at or now))
            self.tally.synthesis[model,].add(seconds)
            hour.synthesis.add(seconds)
        if live.told is not None and live.told >= TELLING:
            self.tally.eta.add((now - live.created_at) / live.told)

    def _cached(self, model: str, units: int) -> None:
        if units:
            self.tally.units[model, "cache"] += units
            self.statistics.now(model).cached_units += units

    def promised(self, live: Live, eta: float | None) -> None:
        """A job was accepted, and its owner told when it will be done."""
        live.told = eta

    def committed(self, seconds: float) -> None:
        """It took so long until an accepted job was on disk."""
        self.tally.commit.add(seconds)

    # Segments

    def arrived(self, live: Live, units: int) -> None:
        """So many segments of a job need a slot."""
        if live.arrived is None:
            self.statistics.now(live.hosted.name).arrived += units

    def served(self, model: str, result: UnitResult, took: float) -> None:
        """A worker made a segment; its slot was taken for so many seconds."""
        self.tally.units[model, "worker"] += 1
        self.tally.service[model,].add(took)
        hour = self.statistics.now(model)
        hour.service.add(took)
        rate = result.meta.get("sample_rate")
        if rate:
            audio = pcm.duration(len(result.payload), int(rate))
            self.tally.audio[model,] += audio
            hour.audio += audio
            if audio > 0:
                self.tally.rtf[model,].add(result.seconds / audio)

    # Requests

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self.tally.http[method, route, str(status)] += 1
        self.tally.http_seconds[route,].add(seconds)

    def refused(self, reason: str) -> None:
        self.tally.refusals[reason,] += 1

    # Time

    def beat(self, late: float, passed: float, slots: Iterable[tuple[str, int]]) -> None:
        """The event loop came `late` seconds to its tick; so many passed since the last, with these slots by model."""
        self.tally.lag.add(late)
        for model, count in slots:
            self.statistics.passed(model, passed, count)
