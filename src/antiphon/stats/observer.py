"""The observer: hears what happens to jobs, segments and requests, and counts it. Nothing waits for it.

It feeds two books: the tally, which Prometheus reads, and the statistics, which people read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from antiphon.audio import pcm
from antiphon.domain.event import FINAL_EVENTS, EventType
from antiphon.domain.job import Priority, State, Units
from antiphon.domain.unit import UnitResult
from antiphon.stats.counters import Counters
from antiphon.stats.daily import Statistics

#: Seconds; a promise of less is not measured, since what it is off by is chance.
LEAST_PROMISE = 0.1


class Model(Protocol):
    @property
    def name(self) -> str: ...


class ObservedJob(Protocol):
    """What the observer sees of an active job. Times are seconds since the epoch."""

    priority: Priority
    units: Units
    created_at: float
    started_at: float | None
    #: Set for a job of a previous process.
    arrived: float | None
    #: The seconds that its owner was told it takes.
    promised_seconds: float | None
    last_unit_at: float | None

    @property
    def served(self) -> Model: ...


#: Receives an active job's events at once; it must be quick and must not raise.
Listener = Callable[[Any, EventType], None]


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

    def job_event(self, job: ObservedJob, event: EventType, extra: Mapping[str, Any] | None = None) -> None:
        """Every event of a job, at the moment when it is published."""
        match event:
            case "job.queued":
                self._queued(job)
            case "job.started":
                self._started(job)
            case "unit.done":
                job.last_unit_at = self._clock()
                if extra is not None and extra.get("cached"):
                    self._cached(job.served.name, 1)
            case _ if event in FINAL_EVENTS:
                self._ended(job, FINAL_EVENTS[event])
            case _:
                return
        for listener in self._listeners:
            listener(job, event)

    def _queued(self, job: ObservedJob) -> None:
        # What an earlier life accepted was counted there.
        if job.arrived is None:
            self.counters.jobs[job.served.name, job.priority, "accepted"] += 1
            self.statistics.request(job.served.name)
        if job.units.cached == job.units.total:
            self._cached(job.served.name, job.units.cached)

    def _started(self, job: ObservedJob) -> None:
        model = job.served.name
        self._cached(model, job.units.cached)
        if job.arrived is None and job.started_at is not None and job.units.cached < job.units.total:
            seconds = max(0.0, job.started_at - job.created_at)
            self.counters.waits[model, job.priority].add(seconds)
            self.statistics.now(model).waits.add(seconds)

    def _ended(self, job: ObservedJob, outcome: State) -> None:
        model, now = job.served.name, self._clock()
        self.counters.jobs[model, job.priority, str(outcome)] += 1
        hour = self.statistics.now(model)
        if outcome is not State.SUCCEEDED:
            hour.failed += outcome is State.FAILED
            hour.cancelled += outcome is State.CANCELLED
            return
        if job.units.cached >= job.units.total:
            hour.hits += 1
        else:
            hour.partial += job.units.cached > 0
            seconds = max(0.0, now - (job.started_at or now))
            self.counters.synthesis[model,].add(seconds)
            hour.synthesis.add(seconds)
        if job.promised_seconds is not None and job.promised_seconds >= LEAST_PROMISE:
            self.counters.eta.add((now - job.created_at) / job.promised_seconds)

    def _cached(self, model: str, units: int) -> None:
        if units:
            self.counters.units[model, "cache"] += units
            self.statistics.now(model).cached_units += units

    def promised(self, job: ObservedJob, eta: float | None) -> None:
        """A job was accepted, and its owner told when it will be done."""
        job.promised_seconds = eta

    def committed(self, seconds: float) -> None:
        """It took so long until an accepted job was on disk."""
        self.counters.commit.add(seconds)

    # Segments

    def arrived(self, job: ObservedJob, units: int) -> None:
        """So many segments of a job need a slot."""
        if job.arrived is None:
            self.statistics.now(job.served.name).arrived += units

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

    def ticked(self, late: float, passed: float, slots: Iterable[tuple[str, int]]) -> None:
        """The event loop came `late` seconds to its tick; so many passed since the last, with these slots by model."""
        self.counters.lag.add(late)
        for model, count in slots:
            self.statistics.passed(model, passed, count)
