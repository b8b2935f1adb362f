"""Waiting jobs: requests whose caller waits for the answer, and the one place where such a request ends."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from types import TracebackType
from typing import Self

import structlog

from antiphon.concurrency.tasks import retry_until
from antiphon.domain import errors
from antiphon.domain.event import FINAL_EVENT_OF
from antiphon.domain.job import Failure, Job, Result, State
from antiphon.domain.plan import Plan
from antiphon.jobs import views
from antiphon.jobs.active import ActiveJob, new_active_job
from antiphon.jobs.admission import predicted_costs
from antiphon.jobs.lifecycle import JobLifecycle
from antiphon.jobs.run import JobRun
from antiphon.models.served import ServedModel
from antiphon.store.base import JobStore

log = structlog.get_logger("antiphon.jobs")

#: Seconds that a served caller waits until the other servers know of the request.
RECORD_PATIENCE = 5.0
#: Ended requests that may wait for a store that is away, and seconds between two tries.
RECORDS_WAITING, RECORD_AGAIN = 1000, 2.0


class WaitingJob:
    """One request whose caller waits. It ends once: by `succeed`, `fail` or `cancel`, or by leaving its `with` block.
    An error of ours that leaves the block fails the job; anything else that leaves it, a client that goes away among
    it, cancels the job and gives its place back."""

    def __init__(self, jobs: WaitingJobs, active: ActiveJob, run: JobRun) -> None:
        self._jobs, self.active, self.run = jobs, active, run

    @property
    def id(self) -> str:
        return self.active.id

    @property
    def cache_status(self) -> str:
        """How much of it the cache answered: hit, miss or partial."""
        if self.run.cached >= self.run.total:
            return "hit"
        return "partial" if self.run.cached else "miss"

    def succeed(self, result: Result) -> None:
        self._jobs.end(self.active, State.SUCCEEDED, result, None)

    def fail(self, error: errors.AntiphonError) -> None:
        if isinstance(error, errors.Cancelled):
            self.cancel()
        else:
            self._jobs.end(self.active, State.FAILED, None, Failure.of(error))

    def cancel(self) -> None:
        """Gives the place in the queue back. After the end it does nothing."""
        self._jobs.end(self.active, State.CANCELLED, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, errors.AntiphonError):
            self.fail(error)
        else:
            self.cancel()


class WaitingJobs:
    """Begins waiting jobs and records them when they end. Used in one event loop."""

    def __init__(self, lifecycle: JobLifecycle, store: JobStore) -> None:
        self._lifecycle, self._store = lifecycle, store
        #: Ended requests that the store does not have yet: a caller may ask for them at once.
        self.unrecorded: dict[str, Job] = {}
        self._records: dict[str, asyncio.Task[None]] = {}

    def begin(
        self,
        served: ServedModel,
        plan: Plan,
        owner: str,
        *,
        read_cache: bool = True,
        write_cache: bool = True,
        live: bool = False,
    ) -> WaitingJob:
        """Takes a planned request; `live`: somebody waits to hear its result. Raises what
        `JobAdmission.admit` raises."""
        lifecycle = self._lifecycle
        active = new_active_job(owner, served, plan, durable=False, waiting=True)
        active.on_start = lifecycle.begin
        run = active.run = lifecycle.new_run(active, plan, read_cache=read_cache, write_cache=write_cache, live=live)
        active.count_units()
        missing = run.missing()
        costs = predicted_costs(served, plan, missing)
        if missing:
            lifecycle.admission.admit(active, plan, costs)
        else:
            lifecycle.admission.reserve(active, plan)
            active.started_at = time.time()
        lifecycle.enter(active, missing, costs)
        return WaitingJob(self, active, run)

    def end(self, active: ActiveJob, state: State, result: Result | None, failure: Failure | None) -> None:
        """Ends a waiting job and records it. A job that has ended stays as it is."""
        if active.id not in self._lifecycle.active:
            return
        self._lifecycle.drop(active)
        if result is not None:
            result = replace(result, warnings=active.warnings)
        now = time.time()
        # A summary: the job is not run again. The empty text says so to servers of the version before.
        request = {"text": "", "model": active.served.name, "format": getattr(active.plan.request, "format", "")}
        job = Job(
            active.id, active.type, state, active.owner, active.priority, request, active.created_at,
            started_at=active.started_at or now, finished_at=now, units=active.units, result=result, error=failure,
            attempt=1, kept=False,
        )  # fmt: skip
        self.unrecorded[job.id] = job
        self._records[job.id] = self._lifecycle.tasks.spawn(self._record(job), f"record {job.id}")
        if result is not None or state is State.CANCELLED:
            self._lifecycle.admission.count_audio(active, result)
        self._lifecycle.announce(active, FINAL_EVENT_OF[state], views.of_ending(active, result, failure))

    async def recorded(self, job_id: str) -> None:
        """Returns once an ended request is known to every server; trouble of the store is not the caller's."""
        if (record := self._records.get(job_id)) is not None and self._store.cluster is not None:
            await asyncio.wait({record}, timeout=RECORD_PATIENCE)

    async def _record(self, job: Job) -> None:
        def on_failure(error: errors.StoreAway) -> None:
            if len(self.unrecorded) > RECORDS_WAITING:
                raise error
            log.info("an ended request waits for the store", job=job.id, error=error.message)

        try:
            await retry_until(lambda: self._store.record(job), errors.StoreAway, RECORD_AGAIN, on_failure)
        finally:
            del self.unrecorded[job.id], self._records[job.id]
