"""Admission: whether the work of a request is taken, in which class, and what it counts for until it is done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from antiphon.auth import ApiKeys
from antiphon.domain import errors
from antiphon.domain.job import PRIORITIES, Result
from antiphon.domain.plan import Plan, Request
from antiphon.files.disk_space import DiskSpace
from antiphon.jobs.active import ActiveJob
from antiphon.models.served import ServedModel
from antiphon.schedule.admission import Admission

R = TypeVar("R", bound=Request)


@dataclass(slots=True)
class JobAdmission:
    """The one place where a client's share, quota and class are applied, whatever the kind of work."""

    work: Admission
    api_keys: ApiKeys
    space: DiskSpace

    def grant(self, request: R, owner: str) -> R:
        """The request in the class that its owner may have; `PRIORITIES` begins with the highest."""
        ceiling = self.api_keys.max_priority(owner)
        if PRIORITIES.index(request.priority) >= PRIORITIES.index(ceiling):
            return request
        lowered: Any = replace(request, priority=ceiling)  # type: ignore[type-var]
        return lowered  # type: ignore[no-any-return]

    def admit(self, job: ActiveJob, plan: Plan, costs: list[float]) -> None:
        """Counts the job's work. Raises `OverQuota`; `OverShare` or `QueueFull` with the time after which it fits;
        `StorageFull`."""
        self.reserve(job, plan)
        try:
            if job.durable:
                self.space.check()
            when = job.served.dispatcher.seconds_until
            job.long = self.work.take(job.owner, sum(costs), plan.nbytes, waiting=job.waiting, when=when)
        except errors.AntiphonError:
            self.give_back(job)
            raise
        job.seconds, job.nbytes = sum(costs), plan.nbytes

    def reserve(self, job: ActiveJob, plan: Plan, *, admitted: bool = False) -> None:
        """Counts the job's audio towards its owner's quota, which is for cached audio too. Raises `OverQuota`, unless a
        previous process `admitted` it."""
        expected = plan.expected_audio(job.served.dispatcher.cost.audio_per_length)
        job.reserved = self.api_keys.reserve(job.owner, expected, admitted=admitted)

    def readmit(self, job: ActiveJob, plan: Plan, costs: list[float]) -> None:
        """Counts the work of a job that a previous process admitted."""
        self.reserve(job, plan, admitted=True)
        job.seconds, job.nbytes = sum(costs), plan.nbytes
        job.long = self.work.force(job.owner, job.seconds, job.nbytes, waiting=job.waiting)

    def count_as(self, job: ActiveJob, *, waiting: bool) -> None:
        """From now on the job's work counts as that of a request that somebody waits for, or of one that nobody does.
        It was admitted once and is not refused now."""
        counted = job.seconds, job.nbytes
        if job.nbytes:
            self.work.give_back(job.owner, *counted, waiting=job.waiting, long=job.long)
            job.long = self.work.force(job.owner, *counted, waiting=waiting)
        job.waiting = waiting

    def spend(self, job: ActiveJob, seconds: float) -> None:
        """A unit of the job is done: its predicted seconds are no longer queued."""
        seconds = min(seconds, job.seconds)
        self.work.spend(job.owner, seconds, waiting=job.waiting, long=job.long)
        job.seconds -= seconds

    def reprice(self, job: ActiveJob, factor: float) -> None:
        """The job's queued work is priced again: what is refused because of it is told a true time."""
        self.work.spend(job.owner, job.seconds * (1 - factor), waiting=job.waiting, long=job.long)
        job.seconds *= factor

    def count_audio(self, job: ActiveJob, result: Result | None) -> None:
        """Counts towards its owner's quota what a job gave: its audio, or what was heard of one that was cancelled.
        Else whoever leaves just before the end has any amount of audio without a quota."""
        self.api_keys.count_audio(job.owner, job.heard if result is None else result.duration)

    def give_back(self, job: ActiveJob) -> None:
        """The job's work is done or gone. A second call does nothing."""
        if job.nbytes:
            self.work.give_back(job.owner, job.seconds, job.nbytes, waiting=job.waiting, long=job.long)
        if job.reserved:
            self.api_keys.release(job.owner, job.reserved)
        job.seconds, job.nbytes, job.reserved = 0.0, 0, 0.0


def predicted_costs(served: ServedModel, plan: Plan, units: list[int]) -> list[float]:
    """Predicted seconds of some of a plan's units."""
    predict = served.dispatcher.cost.predict
    return [predict(plan.length(index)) for index in units]
