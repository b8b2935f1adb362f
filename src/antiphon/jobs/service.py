"""Job service: accept, watch, cancel and retry jobs. It is what surfaces call, whatever protocol they speak."""

from __future__ import annotations

import builtins
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from antiphon.domain import errors, ids
from antiphon.domain.job import Job, State
from antiphon.domain.plan import Plan, Request
from antiphon.jobs import views
from antiphon.jobs.active import ActiveJob, new_active_job
from antiphon.jobs.admission import predicted_costs
from antiphon.jobs.durable import DurableRunner
from antiphon.jobs.kind import Kinds
from antiphon.jobs.lifecycle import JobLifecycle
from antiphon.jobs.waiting import WaitingJob, WaitingJobs
from antiphon.jobs.webhooks import Webhooks
from antiphon.store.base import Idempotency, JobStore, Webhook

#: Asks the servers that share the store how an unfinished job looks that none of ours is; None: no answer.
RemoteView = Callable[[str], Awaitable[dict[str, Any] | None]]
#: Jobs of a list that are read at a time, for each has its text, of up to a megabyte.
LISTED = 8


@dataclass(eq=False)
class JobService:
    """Jobs of every kind, for every surface. Used in one event loop."""

    lifecycle: JobLifecycle
    _store: JobStore
    _durable: DurableRunner
    _waiting: WaitingJobs
    _webhooks: Webhooks
    kinds: Kinds
    _remote_view: RemoteView
    #: How many callers wait for a durable job, by its id.
    _callers: Counter[str] = field(default_factory=Counter)

    @property
    def active(self) -> dict[str, ActiveJob]:
        """Jobs that are not final, by id."""
        return self.lifecycle.active

    @property
    def draining(self) -> bool:
        return self.lifecycle.draining

    # Accept

    @contextlib.asynccontextmanager
    async def waiting(self, request: Request, owner: str) -> AsyncIterator[WaitingJob]:
        """Takes a request whose caller waits. The block reads `run.entries()` and calls `succeed`; however else it is
        left, the job ends with it. Raises `InvalidRequest` and its kin for what can never work, `Busy` and its kin with
        a true `retry_after`."""
        with await self.begin(request, owner) as job:
            yield job

    async def begin(self, request: Request, owner: str) -> WaitingJob:
        """`waiting` for a caller that ends the job itself. Raises as `waiting` does."""
        self.lifecycle.check_open()
        granted = self.lifecycle.admission.grant(request, owner)
        return self._waiting.begin(*await self.kinds[request.type].prepare(granted, owner), owner)

    async def submit(
        self,
        request: Request,
        owner: str,
        idempotency: Idempotency | None = None,
        webhook: Webhook | None = None,
        *,
        waiting: bool = False,
    ) -> tuple[dict[str, Any], bool]:
        """Takes a durable job: it is on disk when this returns. The second value is False for a repeated key.
        `waiting`: its caller waits for it all the same, within `attended`. Raises as `waiting` does."""
        self.lifecycle.check_open()
        granted = self.lifecycle.admission.grant(request, owner)
        served, plan = await self.kinds[request.type].prepare(granted, owner)
        active = new_active_job(owner, served, plan, durable=True, waiting=waiting)
        run = self.lifecycle.new_run(active, plan)
        missing = run.missing()
        costs = predicted_costs(served, plan, missing)
        try:
            self.lifecycle.admission.admit(active, plan, costs)
        except errors.AntiphonError:
            # A repetition asks for no more work: it is answered however full the queue is.
            known = await self._store.find_idempotent(idempotency) if idempotency is not None else None
            if known is None:
                raise
            return self._view(known), False
        stored, new = await self._store_job(active, plan, idempotency, webhook)
        if not new:
            return self._view(stored), False
        self._durable.enter(active, run, missing, costs)
        view = views.of_active(active)
        self.lifecycle.observer.promised(active, view["eta"])
        return view, True

    async def _store_job(
        self, active: ActiveJob, plan: Plan, idempotency: Idempotency | None, webhook: Webhook | None
    ) -> tuple[Job, bool]:
        """The job as it is on disk, and whether it is new; what admission counted for another is given back."""
        # The model that was chosen is kept, so that a restart goes on with the same one.
        request = {**plan.request.to_json(), "model": active.served.name}
        job = Job(
            active.id, active.type, State.QUEUED, active.owner, active.priority, request, active.created_at,
            units=active.units,
        )  # fmt: skip
        began = time.perf_counter()
        new = False
        try:
            stored, new = await self._store.add(job, idempotency=idempotency, webhook=webhook)
        finally:
            if not new:
                self.lifecycle.admission.give_back(active)
        self.lifecycle.observer.committed(time.perf_counter() - began)
        if new and webhook is not None:
            self._webhooks.expect(webhook, active.id)
        return stored, new

    # Watch

    def _view(self, job: Job) -> dict[str, Any]:
        """A stored job; an active one with what only the memory knows."""
        active = self.active.get(job.id)
        return views.of_active(active) if active is not None and not job.state.final else views.of_stored(job)

    async def get(self, job_id: str, owner: str | None = None) -> dict[str, Any]:
        """Raises `NotFound` for an unknown id and for another owner's."""
        if (active := self.active.get(job_id)) is not None and owner in (None, active.owner):
            return views.of_active(active)
        job = await self.stored(job_id, owner)
        if not job.state.final and (view := await self._remote_view(job_id)) is not None:
            return view
        return self._view(job)

    async def stored(self, job_id: str, owner: str | None = None) -> Job:
        """The store's row. Raises `NotFound`."""
        if (job := self._waiting.unrecorded.get(job_id)) is not None and owner in (None, job.owner):
            return job
        job = await self._store.get(job_id, owner) if ids.is_id(job_id) else None
        if job is None:
            raise _no_such_job(job_id)
        return job

    async def ended(self, job_id: str, owner: str | None = None) -> Job:
        """Waits until a durable job is final; the job goes on if the caller does not wait."""
        with self.lifecycle.bus.subscribe(job=job_id) as events:
            while not (job := await self.stored(job_id, owner)).state.final:
                if await anext(events, None) is None:
                    raise errors.Draining(retry_after=5.0)
        return job

    @contextlib.contextmanager
    def attended(self, job_id: str) -> Iterator[None]:
        """Within this block a caller waits for a durable job: it goes before durable jobs that nobody waits for. When
        the last such caller has left, it is one of those."""
        self._callers[job_id] += 1
        if (active := self.active.get(job_id)) is not None:
            self.lifecycle.set_waiting(active, True)
        try:
            yield
        finally:
            self._callers[job_id] -= 1
            if not self._callers[job_id]:
                del self._callers[job_id]
                if (active := self.active.get(job_id)) is not None and active.durable:
                    self.lifecycle.set_waiting(active, False)

    async def recorded(self, job_id: str) -> None:
        """Returns once an ended request is known to every server; trouble of the store is not the caller's."""
        await self._waiting.recorded(job_id)

    def segments(self, job_id: str) -> tuple[dict[str, Any], ...]:
        """Bounds of the segments of an unfinished job that are computed so far, from the first on."""
        active = self.active.get(job_id)
        return () if active is None or active.run is None else tuple(active.run.segments)

    async def list(
        self,
        owner: str | None = None,
        states: tuple[State, ...] | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> builtins.list[dict[str, Any]]:
        """At most `limit` jobs, newest first, after the job `after`."""
        found: builtins.list[dict[str, Any]] = []
        while len(found) < limit:
            count = min(LISTED, limit - len(found))
            page = await self._store.list(owner=owner, states=states, after=after, limit=count)
            found += map(self._view, page)
            if len(page) < count:
                break
            after = page[-1].id
        return found

    # Cancel, retry

    async def cancel(self, job_id: str, owner: str | None = None) -> dict[str, Any]:
        """Ends a job wherever it is. A final job stays as it is. Raises `NotFound`."""
        active = self.active.get(job_id)
        if active is not None and not active.durable and owner in (None, active.owner):
            view = {**views.of_active(active), "status": "cancelled", "position": None, "eta": None}
            self._waiting.end(active, State.CANCELLED, None, None)
            return view
        found = await self._store.cancel(job_id, owner) if ids.is_id(job_id) else None
        if found is None:
            raise _no_such_job(job_id)
        job, ours = found
        if (active := self.active.get(job_id)) is not None and job.state is State.CANCELLED:
            self.lifecycle.drop(active)
            self._end_cancelled(active)
        elif ours:
            # Stored, and not yet taken up again: its model loads, or its recording cannot be had.
            self.lifecycle.announce_end(job)
        return views.of_stored(job)

    def ended_elsewhere(self, job_id: str, *, ours: bool) -> None:
        """Another server ended the job, or has taken it over: nothing is done for it here any more. `ours`: it was
        accepted or rescued by this server, which therefore announces its end."""
        if (active := self.active.get(job_id)) is not None and active.durable:
            self.lifecycle.drop(active)
            self.lifecycle.tasks.spawn(self._announce_if_cancelled(active), f"look {active.id}")
        elif ours:
            self.lifecycle.tasks.spawn(self._durable.announce_end(job_id), f"announce the end of {job_id}")

    async def _announce_if_cancelled(self, active: ActiveJob) -> None:
        if (job := await self._store.get(active.id)) is not None and job.state is State.CANCELLED:
            self._end_cancelled(active)

    def _end_cancelled(self, active: ActiveJob) -> None:
        self.lifecycle.admission.count_audio(active, None)
        self.lifecycle.announce_cancelled(active)

    async def retry(self, job_id: str, owner: str | None = None) -> dict[str, Any]:
        """Queues a failed or cancelled job again; finished segments are cache hits. Raises `NotFound`, `Conflict`."""
        self.lifecycle.check_open()
        _check_kept(await self.stored(job_id, owner))
        await self._durable.resume(await self._store.retry(job_id, owner))
        return await self.get(job_id, owner)

    async def retry_unit(self, job_id: str, index: int, owner: str | None = None) -> dict[str, Any]:
        """Makes one segment of a finished job again and keeps the others. Raises `NotFound`, `Conflict`."""
        self.lifecycle.check_open()
        job = await self.stored(job_id, owner)
        _check_kept(job)
        if not 0 <= index < job.units.total:
            raise errors.NotFound(f"The job has segments 0 to {job.units.total - 1}; there is no {index}")
        request = self.kinds[job.type].parse(job.request).with_another_take(index)
        await self._durable.resume(await self._store.requeue_succeeded(job_id, request.to_json(), owner))
        return await self.get(job_id, owner)


def _no_such_job(job_id: str) -> errors.NotFound:
    return errors.NotFound(f"There is no job {job_id[:40]!r}")


def _check_kept(job: Job) -> None:
    """Raises `Conflict` for a request that was not kept: there is nothing to do again."""
    if not job.kept:
        raise errors.Conflict("This was a request that somebody waited for; it was not kept. Send it again")
