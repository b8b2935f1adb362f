"""Observer: counts what happens to jobs, segments and requests, without delaying them.

It updates the counters for Prometheus and the daily statistics for operators.
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

#: Seconds; shorter predictions are not compared with what the job took, since their error is chance.
MIN_PROMISE = 0.1


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
    #: Seconds from acceptance to the end, as predicted to its owner.
    promised_seconds: float | None
    last_unit_at: float | None

    @property
    def served(self) -> Model: ...


#: Receives an event of an active job as it is published; must be quick and must not raise.
Listener = Callable[[Any, EventType], None]


class Observer:
    """The counters and statistics of a server, and the listeners to its jobs' events. Used in one event loop."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since the epoch."""
        self._clock = clock
        self.counters = Counters()
        self.statistics = Statistics(clock)
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Adds a listener, which receives every event after it is counted."""
        self._listeners.append(listener)

    def job_event(self, job: ObservedJob, event: EventType, extra: Mapping[str, Any] | None = None) -> None:
        """Counts an event of a job. Called for every event as it is published."""
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
        # The previous process counted the jobs that it accepted.
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
        if job.promised_seconds is not None and job.promised_seconds >= MIN_PROMISE:
            self.counters.eta.add((now - job.created_at) / job.promised_seconds)

    def _cached(self, model: str, units: int) -> None:
        if units:
            self.counters.units[model, "cache"] += units
            self.statistics.now(model).cached_units += units

    def promised(self, job: ObservedJob, eta: float | None) -> None:
        """Notes the seconds predicted to the owner of an accepted job."""
        job.promised_seconds = eta

    def committed(self, seconds: float) -> None:
        """Counts the seconds until an accepted job was on disk."""
        self.counters.commit.add(seconds)

    def arrived(self, job: ObservedJob, units: int) -> None:
        """Counts segments of a job that need a slot."""
        if job.arrived is None:
            self.statistics.now(job.served.name).arrived += units

    def served(self, model: str, result: UnitResult, seconds: float) -> None:
        """Counts a unit that a worker finished, and the `seconds` for which it occupied a slot."""
        self.counters.units[model, "worker"] += 1
        self.counters.service[model,].add(seconds)
        hour = self.statistics.now(model)
        hour.service.add(seconds)
        rate = result.meta.get("sample_rate")
        if rate:
            audio = pcm.duration(len(result.payload), int(rate))
            self.counters.audio[model,] += audio
            hour.audio += audio
            if audio > 0:
                self.counters.rtf[model,].add(result.seconds / audio)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self.counters.http[method, route, str(status)] += 1
        self.counters.http_seconds[route,].add(seconds)

    def refused(self, reason: str) -> None:
        self.counters.refusals[reason,] += 1

    def ticked(self, late: float, passed: float, slots: Iterable[tuple[str, int]]) -> None:
        """Counts a tick of the event loop: seconds of delay, seconds since the last tick, slots by model."""
        self.counters.lag.add(late)
        for model, count in slots:
            self.statistics.passed(model, passed, count)
