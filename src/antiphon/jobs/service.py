"""Jobs: accept, watch, cancel, retry. What a surface calls, whatever protocol it speaks."""

from __future__ import annotations

import builtins
import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any

from antiphon.domain import errors, ids
from antiphon.domain.job import Job, State, Units
from antiphon.domain.request import SpeechRequest
from antiphon.domain.work import Plan, Request
from antiphon.jobs import durable, views
from antiphon.jobs.active import ActiveJob
from antiphon.jobs.lifecycle import JobLifecycle
from antiphon.models.served import ServedModel
from antiphon.speech import listen, planner
from antiphon.speech.response import SpeechResponse
from antiphon.store.base import Idempotency, Webhook


class JobService(JobLifecycle):
    # Accept

    async def speak(
        self,
        request: SpeechRequest,
        owner: str,
        *,
        streamed: bool = False,
        read_cache: bool = True,
        write_cache: bool = True,
        trusted: bool = False,
    ) -> SpeechResponse:
        """Takes a request whose caller waits. The answer's audio is made while it is read; `close` it in any case.

        `streamed` cuts the first segment short so that the first sound comes early; `trusted` says that the request is
        one that this server kept. Raises `InvalidRequest` and its
        kin for what can never work, `Busy` and its kin with a true `retry_after`.
        """
        self._open()
        served, plan = await self.intake.prepare(request, owner, quick_first=streamed, trusted=trusted)
        active = self._begin(served, plan, owner, read_cache=read_cache, write_cache=write_cache)
        assert active.run is not None
        return SpeechResponse(active, active.run, plan, self.shared.cache, self.threads, self.files, self.release)

    async def wait_for(self, request: Request, owner: str) -> ActiveJob:
        """Takes a request of any kind whose caller waits: reads `run.entries()`, and `release`s it in any case.

        Raises as `speak` does."""
        self._open()
        served, plan = await self.kinds[request.type].prepare(request, owner)
        return self._begin(served, plan, owner)

    def _begin(
        self, served: ServedModel, plan: Plan, owner: str, *, read_cache: bool = True, write_cache: bool = True
    ) -> ActiveJob:
        active = planner.new_live(owner, served, plan, durable=False)
        run = active.run = self.new_run(active, plan, read_cache=read_cache, write_cache=write_cache)
        active.units = Units(run.total, run.done_units, run.cached)
        missing = run.missing()
        costs = planner.costs(served, plan, missing)
        if missing:
            self.intake.admit(active, plan, costs)
        else:
            active.started_at = time.time()
        self.active[active.id] = active
        self.tell(active, "job.queued")
        if missing:
            self._enqueue(active, missing, costs)
        return active

    async def submit(
        self,
        request: Request,
        owner: str,
        idempotency: Idempotency | None = None,
        webhook: Webhook | None = None,
    ) -> tuple[dict[str, Any], bool]:
        """Takes a durable job: it is on disk when this returns. The second value is False for a repeated key."""
        self._open()
        served, plan = await self.kinds[request.type].prepare(request, owner)
        active = planner.new_live(owner, served, plan, durable=True)
        missing = self.new_run(active, plan).missing()
        costs = planner.costs(served, plan, missing)
        try:
            self.intake.admit(active, plan, costs)
        except errors.AntiphonError:
            # A repetition asks for no more work: it is answered however full it is.
            known = await self.store.find_idempotent(idempotency) if idempotency is not None else None
            if known is None:
                raise
            return self._view(known), False
        # The model that was chosen is kept, so that a restart goes on with the same one.
        kept = {**plan.request.to_json(), "model": served.name}
        job = Job(
            active.id, active.type, State.QUEUED, owner, active.priority, kept, active.created_at, units=active.units
        )
        began = time.perf_counter()
        try:
            stored, new = await self.store.add(job, idempotency=idempotency, webhook=webhook)
        except BaseException:
            self.intake.give_back(active)
            raise
        self.observer.committed(time.perf_counter() - began)
        if not new:
            self.intake.give_back(active)
            return self._view(stored), False
        if webhook is not None:
            self.webhooks.expect(webhook, active.id)
        self.take_in(active, missing, costs)
        view = views.of_live(active)
        self.observer.promised(active, view["eta"])
        return view, True

    async def ended(self, job_id: str, owner: str | None = None) -> Job:
        """Waits until a durable job is final; the job goes on if the caller does not wait."""
        with self.bus.subscribe(job=job_id) as events:
            while not (job := await self.stored(job_id, owner)).state.final:
                if await anext(events, None) is None:
                    raise errors.Draining(retry_after=5.0)
        return job

    def _open(self) -> None:
        if self.draining:
            raise errors.Draining(retry_after=5.0)

    # Watch

    def _view(self, job: Job) -> dict[str, Any]:
        """A stored job; a live one with what only the memory knows."""
        active = self.active.get(job.id)
        return views.of_live(active) if active is not None and not job.state.final else views.of_stored(job)

    async def get(self, job_id: str, owner: str | None = None) -> dict[str, Any]:
        """Raises `NotFound` for an unknown id and for somebody else's."""
        active = self.active.get(job_id)
        if active is not None and owner in (None, active.owner):
            return views.of_live(active)
        job = await self.stored(job_id, owner)
        if not job.state.final and (told := await self.elsewhere(job_id)) is not None:
            return told
        return self._view(job)

    async def stored(self, job_id: str, owner: str | None = None) -> Job:
        """The store's row. Raises `NotFound`."""
        job = self._recording.get(job_id)
        if job is not None and owner in (None, job.owner):
            return job
        job = await self.store.get(job_id, owner) if ids.is_id(job_id) else None
        if job is None:
            raise errors.NotFound(f"There is no job {job_id[:40]!r}")
        return job

    def segments(self, job_id: str) -> tuple[dict[str, Any], ...]:
        """Bounds of the segments of an unfinished job that are made so far, from the first on."""
        active = self.active.get(job_id)
        return () if active is None or active.run is None else tuple(active.run.segments)

    async def list(
        self,
        owner: str | None = None,
        states: tuple[State, ...] | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> builtins.list[dict[str, Any]]:
        found = await self.store.list(owner=owner, states=states, after=after, limit=limit)
        return [self._view(job) for job in found]

    async def follow(self, job_id: str, owner: str | None = None) -> AsyncGenerator[bytes]:
        """The encoded audio of an unfinished durable job, from its beginning, as its segments finish.

        Raises `NotFound`, what ended the job, and `NotStreamable` where there is nothing to be heard before its end."""
        job = await self.stored(job_id, owner)
        if job.type != "speech":
            raise listen.NotStreamable("Only speech is sent while it is made; ask again when the job is done")
        async with contextlib.aclosing(listen.stream(self, job_id)) as parts:
            async for data in parts:
                yield data

    # Cancel, retry

    async def cancel(self, job_id: str, owner: str | None = None) -> dict[str, Any]:
        """Ends a job wherever it is. A final job stays as it is. Raises `NotFound`."""
        active = self.active.get(job_id)
        if active is not None and not active.durable and owner in (None, active.owner):
            view = {**views.of_live(active), "status": "cancelled", "position": None, "eta": None}
            self.release(active, State.CANCELLED, None, None)
            return view
        found = await self.store.cancel(job_id, owner) if ids.is_id(job_id) else None
        if found is None:
            raise errors.NotFound(f"There is no job {job_id[:40]!r}")
        job, ours = found
        active = self.active.get(job_id)
        if active is not None and job.state is State.CANCELLED:
            self.withdraw(active)
            self.forget(active)
            self.tell(active, "job.cancelled", views.of_ending(active, None, None))
        elif ours:
            # Stored, and not yet taken up again: its model loads, its recording cannot be had.
            self.publish_end(job)
        return views.of_stored(job)

    def cancelled_elsewhere(self, job_id: str, *, ours: bool) -> None:
        """Another server ended the job, or has taken it over: nothing is done for it here any more.

        `ours`: it was accepted here, or rescued by us, so that its end is told here."""
        active = self.active.get(job_id)
        if active is not None and active.durable:
            self.withdraw(active)
            self.forget(active)
            self.spawn(self._tell_if_cancelled(active), f"look {active.id}")
        elif ours:
            self.spawn(durable.tell_end(self, job_id), f"tell the end of {job_id}")

    async def _tell_if_cancelled(self, active: ActiveJob) -> None:
        job = await self.store.get(active.id)
        if job is not None and job.state is State.CANCELLED:
            self.tell(active, "job.cancelled", views.of_ending(active, None, None))

    async def retry(self, job_id: str, owner: str | None = None) -> dict[str, Any]:
        """Queues a failed or cancelled job again; finished segments are cache hits. Raises `NotFound`, `Conflict`."""
        self._open()
        _kept(await self.stored(job_id, owner))
        await durable.resume(self, await self.store.retry(job_id, owner))
        return await self.get(job_id, owner)

    async def retry_unit(self, job_id: str, index: int, owner: str | None = None) -> dict[str, Any]:
        """Has one segment of a finished job made anew; the others are kept. Raises `NotFound`, `Conflict`."""
        self._open()
        job = await self.stored(job_id, owner)
        _kept(job)
        if not 0 <= index < job.units.total:
            raise errors.NotFound(f"The job has segments 0 to {job.units.total - 1}; there is no {index}")
        request = self.kinds[job.type].parse(job.request).with_another_take(index)
        await durable.resume(self, await self.store.requeue_succeeded(job_id, request.to_json(), owner))
        return await self.get(job_id, owner)


def _kept(job: Job) -> None:
    """Raises `Conflict` if there is nothing that could be done again."""
    if not job.kept:
        raise errors.Conflict("This was a request that somebody waited for; it was not kept. Send it again")
