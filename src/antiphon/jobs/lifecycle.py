"""Job lifecycle: every job that is not final, from the moment when it is accepted to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from antiphon.bus import Bus
from antiphon.concurrency.tasks import TaskSet
from antiphon.domain import errors
from antiphon.domain.event import FINAL_EVENT_OF, EventType
from antiphon.domain.job import Job, State
from antiphon.domain.plan import Plan
from antiphon.domain.unit import Unit
from antiphon.jobs import views
from antiphon.jobs.active import ActiveJob
from antiphon.jobs.admission import JobAdmission, predicted_costs
from antiphon.jobs.run import WORTH_SHARING, JobRun, RunCallbacks, SharedResults
from antiphon.models.registry import ModelRegistry
from antiphon.models.served import ServedModel
from antiphon.schedule.ticket import Ticket
from antiphon.stats.observer import Observer

#: Seconds that background tasks of jobs get to finish when the server stops.
STOP_GRACE = 5.0


class JobLifecycle:
    """Queues active jobs, announces what happens to them, withdraws and forgets them. Used in one event loop. It knows
    neither the store nor the kinds of work: `DurableRunner` and `WaitingJobs` end jobs."""

    def __init__(
        self, models: ModelRegistry, shared: SharedResults, bus: Bus, admission: JobAdmission, observer: Observer
    ) -> None:
        self.models, self.bus, self.admission, self.observer = models, bus, admission, observer
        self.shared = shared
        self.active: dict[str, ActiveJob] = {}
        self.tasks = TaskSet("antiphon.jobs")
        #: Nothing new is accepted any more.
        self.draining = False
        #: Set whenever a job leaves `active`.
        self.left = asyncio.Event()

    def check_open(self) -> None:
        """Raises `Draining` when nothing new is accepted any more."""
        if self.draining:
            raise errors.Draining(retry_after=5.0)

    async def start(self) -> None:
        """Jobs start as they come."""

    async def stop(self) -> None:
        """Tasks of jobs that were drained get a moment to finish."""
        await self.tasks.stop(grace=STOP_GRACE)

    # Queue

    def enter(self, job: ActiveJob, missing: list[int], costs: list[float]) -> None:
        """From now on the job is active. `missing` are the units that no cache entry answers, with their `costs`."""
        self.active[job.id] = job
        self.announce(job, "job.queued")
        if missing:
            self._enqueue(job, missing, costs)

    def new_run(
        self, job: ActiveJob, plan: Plan, *, read_cache: bool = True, write_cache: bool = True, live: bool = False
    ) -> JobRun:
        return JobRun(
            job.id,
            plan,
            self.shared,
            RunCallbacks(
                on_unit=lambda index, cached: self._unit_done(job, index, cached),
                on_failure=lambda error: self.withdraw(job),
                requeue=lambda index: self.requeue_unit(job, index),
                is_dear=lambda index: _is_dear(job.served, plan, index),
            ),
            space=self.shared.space(job.owner),
            read_cache=read_cache,
            write_cache=write_cache,
            live=live,
        )

    def requeue_unit(self, job: ActiveJob, index: int) -> None:
        """Queues a unit of a running job once more."""
        if job.id not in self.active or job.run is None:
            return
        if job.ticket is not None:
            job.served.dispatcher.requeue(job.ticket, index, job.run.plan.length(index))
        else:
            self._enqueue(job, [index], predicted_costs(job.served, job.run.plan, [index]))

    def _enqueue(self, job: ActiveJob, missing: list[int], costs: list[float]) -> None:
        job.price_level = job.served.dispatcher.price_level
        indices = None if len(missing) == job.units.total else missing
        # Deadlines are wall-clock times; the queue knows only the clock that never jumps.
        deadline = None if job.deadline is None else time.monotonic() + job.deadline - time.time()
        self.observer.arrived(job, len(missing))
        job.ticket = Ticket(
            job.id, job.owner, job.priority, costs, indices, job, deadline=deadline, arrived=job.arrived
        )
        job.ticket.waiting = job.waiting
        job.ticket.paused, job.ticket.front = job.orders.paused_at is not None, job.orders.front or 0
        self.models.residency.load(job.served.name)
        job.served.dispatcher.submit(job.ticket)

    def set_waiting(self, job: ActiveJob, waiting: bool) -> None:
        """Somebody waits for a job from now on, or nobody does any more."""
        if job.waiting != waiting:
            self.admission.count_as(job, waiting=waiting)
            if job.ticket is not None:
                job.served.dispatcher.queue.set_waiting(job.ticket, waiting)

    def sources(self) -> frozenset[str]:
        """Digests of the recordings that active jobs need."""
        return frozenset(job.source for job in self.active.values() if job.source)

    # Announce

    def announce(self, job: ActiveJob, event: EventType, extra: Mapping[str, Any] | None = None) -> None:
        """Publishes an event of an active job."""
        self.observer.job_event(job, event, extra)
        data: dict[str, Any] = {"status": str(job.state), "progress": round(job.progress, 4)}
        data["units"] = {"total": job.units.total, "done": job.units.done, "cached": job.units.cached}
        if job.id in self.active and self.bus.has_subscriber(job.id, job.owner):
            # The place in line costs a look at all flows: only for subscribers.
            data["position"], data["eta"] = views.place(job)
        self.bus.publish(event, job.id, job.owner, {**data, **(extra or {})})

    def announce_end(self, job: Job) -> None:
        """Publishes the end of a job that is not active here."""
        self.bus.publish(FINAL_EVENT_OF[job.state], job.id, job.owner, views.of_ended(job))

    def begin(self, job: ActiveJob) -> None:
        """The job's first unit is due, or needs no worker."""
        job.started_at = time.time()
        job.attempts += 1
        self.announce(job, "job.started")

    def _unit_done(self, job: ActiveJob, index: int, cached: bool) -> None:
        if job.run is None or job.id not in self.active:
            return
        job.count_units()
        job.forget_progress(index)
        self.admission.spend(job, job.served.dispatcher.cost.predict(job.run.plan.length(index)))
        skipped = {"skipped": True} if index in job.run.skipped else {}
        self.announce(job, "unit.done", {"index": index, "cached": cached, **skipped})
        if job.on_unit is not None:
            job.on_unit(job)

    def report_progress(self, unit: Unit, fraction: float) -> None:
        """A worker reports how far a unit is. Jobs that wait for another job's unit hear of it when it is done."""
        if (job := self.active.get(unit.job)) is not None and job.run is not None:
            job.report_progress(unit.index, fraction)
            self.announce(job, "job.progress", {"unit": {"index": unit.index, "progress": round(fraction, 4)}})

    # End

    def withdraw(self, job: ActiveJob) -> None:
        """Stops all work for a job, except units that other jobs wait for."""
        if job.ticket is not None:
            run = job.run
            job.served.dispatcher.withdraw(job.ticket, run.wanted_by_others if run else lambda _: False)
        if job.run is not None:
            job.run.stop(errors.Cancelled())

    def forget(self, job: ActiveJob) -> None:
        """The job is active no more, and its share is given back."""
        self.active.pop(job.id, None)
        self.admission.give_back(job)
        self.left.set()

    def drop(self, job: ActiveJob) -> None:
        """Stops all work for a job and forgets it."""
        self.withdraw(job)
        self.forget(job)

    def announce_cancelled(self, job: ActiveJob) -> None:
        self.announce(job, FINAL_EVENT_OF[State.CANCELLED], views.of_ending(job, None, None))


def _is_dear(served: ServedModel, plan: Plan, index: int) -> bool:
    """Whether a unit may take long enough to be worth a look at what other servers share."""
    cost = served.dispatcher.cost
    return cost.count == 0 or cost.predict(plan.length(index)) >= WORTH_SHARING
