"""Jobs: accept, watch, cancel, retry. What a surface calls, whatever protocol it speaks."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import time
from collections.abc import AsyncGenerator, Coroutine, Mapping
from pathlib import Path
from typing import Any

import structlog

from antiphon.bus import Bus
from antiphon.cache import Cache, SingleFlight
from antiphon.domain import errors
from antiphon.domain.event import EventType
from antiphon.domain.job import Failure, Job, Result, State, Units
from antiphon.domain.request import SpeechRequest
from antiphon.schedule.queue import Ticket
from antiphon.service import durable, ids, intake, pricing, views
from antiphon.service.intake import Intake
from antiphon.service.live import Live
from antiphon.service.models import Hosted, Models
from antiphon.service.observer import Observer
from antiphon.service.pipeline import Run, Shelf
from antiphon.service.plan import Plan
from antiphon.service.speech import Speech
from antiphon.service.threads import Threads
from antiphon.service.webhooks import Webhooks
from antiphon.store.base import Idempotency, JobStore, Webhook

log = structlog.get_logger("antiphon.jobs")

ENDINGS: Mapping[State, EventType] = {
    State.SUCCEEDED: "job.succeeded",
    State.FAILED: "job.failed",
    State.CANCELLED: "job.cancelled",
}


class Jobs:
    """Everything that is not final is in `live`; everything durable is in the store as well."""

    def __init__(
        self,
        intake: Intake,
        models: Models,
        store: JobStore,
        cache: Cache,
        bus: Bus,
        webhooks: Webhooks,
        threads: Threads,
        output: Path,
    ) -> None:
        self.intake, self.models, self.store, self.bus = intake, models, store, bus
        self.webhooks, self.threads, self.output = webhooks, threads, output
        self.shelf = Shelf(cache, SingleFlight())
        self.live: dict[str, Live] = {}
        #: Ended requests that are not in the store yet; whoever was answered may ask for them at once.
        self._recording: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.draining = False
        #: Set whenever a job leaves `live`.
        self.left = asyncio.Event()
        self._repricing: set[str] = set()
        self.observer = Observer()

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
    ) -> Speech:
        """Takes a request whose caller waits. The answer's audio is made while it is read; `close` it in any case.

        `streamed` cuts the first segment short so that the first sound comes early; `trusted` says that the request is
        one that this server kept. Raises `InvalidRequest` and its
        kin for what can never work, `Busy` and its kin with a true `retry_after`.
        """
        self._open()
        hosted, plan = await self.intake.prepare(request, owner, quick_first=streamed, trusted=trusted)
        live = intake.new_live(owner, hosted, plan, durable=False)
        run = live.run = self.new_run(live, plan, read_cache=read_cache, write_cache=write_cache)
        live.units = Units(run.total, run.done_units, run.cached)
        missing = run.missing()
        costs = intake.costs(hosted, plan, missing)
        if missing:
            self.intake.admit(live, plan, costs)
        else:
            live.started_at = time.time()
        self.live[live.id] = live
        self.tell(live, "job.queued")
        if missing:
            self._enqueue(live, missing, costs)
        return Speech(live, run, plan, self.shelf.cache, self.threads, self.output, self._release)

    async def submit(
        self,
        request: SpeechRequest,
        owner: str,
        idempotency: Idempotency | None = None,
        webhook: Webhook | None = None,
    ) -> tuple[dict[str, Any], bool]:
        """Takes a durable job: it is on disk when this returns. The second value is False for a repeated key."""
        self._open()
        hosted, plan = await self.intake.prepare(request, owner)
        live = intake.new_live(owner, hosted, plan, durable=True)
        missing = self.new_run(live, plan).missing()
        costs = intake.costs(hosted, plan, missing)
        try:
            self.intake.admit(live, plan, costs)
        except errors.AntiphonError:
            # A repetition asks for no more work: it is answered however full it is.
            known = await self.store.known(idempotency) if idempotency is not None else None
            if known is None:
                raise
            return self._view(known), False
        # The model that was chosen is kept, so that a restart goes on with the same one.
        kept = {**plan.request.to_json(), "model": hosted.name}
        job = Job(live.id, "speech", State.QUEUED, owner, live.priority, kept, live.created_at, units=live.units)
        began = time.perf_counter()
        try:
            stored, new = await self.store.add(job, idempotency=idempotency, webhook=webhook)
        except BaseException:
            self.intake.give_back(live)
            raise
        self.observer.committed(time.perf_counter() - began)
        if not new:
            self.intake.give_back(live)
            return self._view(stored), False
        if webhook is not None:
            self.webhooks.expect(webhook, live.id)
        self.take_in(live, missing, costs)
        view = views.of_live(live)
        self.observer.promised(live, view["eta"])
        return view, True

    async def ended(self, job_id: str, owner: str | None = None) -> Job:
        """Waits until a durable job is final; the job goes on if the caller does not wait."""
        with self.bus.subscribe(job=job_id) as events:
            while not (job := await self.stored(job_id, owner)).state.final:
                if await anext(events, None) is None:
                    raise errors.Draining(retry_after=5.0)
        return job

    def take_in(self, live: Live, missing: builtins.list[int], costs: builtins.list[float]) -> None:
        """From here on a durable job is worked on."""
        live.load = self._load
        self.live[live.id] = live
        self.tell(live, "job.queued")
        if missing:
            self._enqueue(live, missing, costs)
        else:
            self.spawn(self._start_cached(live), f"job {live.id}")

    def new_run(self, live: Live, plan: Plan, *, read_cache: bool = True, write_cache: bool = True) -> Run:
        return Run(
            live.id,
            plan,
            self.shelf,
            read_cache=read_cache,
            write_cache=write_cache,
            on_unit=lambda index, cached: self._unit_done(live, index, cached),
            on_failure=lambda error: self.withdraw(live),
            again=lambda index: self.again(live, index),
        )

    def again(self, live: Live, index: int) -> None:
        """Queues a unit of a running job once more."""
        if live.id not in self.live or live.run is None:
            return
        if live.ticket is not None:
            live.hosted.dispatcher.again(live.ticket, index, live.run.plan.length(index))
        else:
            self._enqueue(live, [index], intake.costs(live.hosted, live.run.plan, [index]))

    def _open(self) -> None:
        if self.draining:
            raise errors.Draining(retry_after=5.0)

    def _enqueue(self, live: Live, missing: builtins.list[int], costs: builtins.list[float]) -> None:
        live.on_start, live.level = self._started, live.hosted.dispatcher.level
        live.hosted.dispatcher.on_level = lambda: self._reprice_soon(live.hosted)
        indices = None if len(missing) == live.units.total else missing
        # Deadlines are wall-clock times; the queue knows only the clock that never jumps.
        deadline = None if live.deadline is None else time.monotonic() + live.deadline - time.time()
        self.observer.arrived(live, len(missing))
        live.ticket = Ticket(
            live.id, live.owner, live.priority, costs, indices, live, deadline=deadline, arrived=live.arrived
        )
        live.hosted.dispatcher.submit(live.ticket)

    def _reprice_soon(self, hosted: Hosted) -> None:
        if hosted.name not in self._repricing:
            self._repricing.add(hosted.name)
            self.spawn(self._reprice(hosted), f"reprice {hosted.name}")

    async def _reprice(self, hosted: Hosted) -> None:
        self._repricing.discard(hosted.name)
        await pricing.reprice(hosted, tuple(self.live.values()))

    async def _load(self, live: Live) -> None:
        await durable.load(self, live)

    async def _start_cached(self, live: Live) -> None:
        """A job that needs no slot: everything it asks for was made before."""
        with contextlib.suppress(errors.Cancelled):
            await durable.load(self, live)
        if live.id not in self.live:
            return
        self._started(live)
        assert live.run is not None
        for index in live.run.missing():
            self.again(live, index)

    # What happens to a job

    def tell(self, live: Live, type_: EventType, extra: Mapping[str, Any] | None = None) -> None:
        self.observer.told(live, type_, extra)
        data: dict[str, Any] = {"status": str(live.state), "progress": round(live.progress, 4)}
        data["units"] = {"total": live.units.total, "done": live.units.done, "cached": live.units.cached}
        if live.id in self.live and self.bus.heard(live.id, live.owner):
            # The place in line costs a look over all flows: only for somebody who listens.
            data["position"], data["eta"] = views.place(live)
        self.bus.publish(type_, live.id, live.owner, {**data, **(extra or {})})

    def _started(self, live: Live) -> None:
        live.started_at = time.time()
        live.attempts += 1
        if live.durable:
            live.fence = asyncio.ensure_future(durable.start(self, live.id))
            live.task = self.spawn(durable.carry(self, live), f"job {live.id}")
        self.tell(live, "job.started")

    def _unit_done(self, live: Live, index: int, cached: bool) -> None:
        run = live.run
        if run is None or live.id not in self.live:
            return
        live.units = Units(run.total, run.done_units, run.cached)
        self.intake.spend(live, live.hosted.dispatcher.cost.predict(run.plan.length(index)))
        self.tell(live, "unit.done", {"index": index, "cached": cached})
        if live.durable and live.units.total > 1 and live.fence is not None and live.fence.done():
            fence = live.fence.result()
            if fence is not None:
                self.spawn(self.store.progress(live.id, fence, live.units), f"progress {live.id}")

    def _release(self, live: Live, state: State, result: Result | None, failure: Failure | None) -> None:
        """The end of a request whose caller waited: it is taken out and recorded."""
        if live.id not in self.live:
            return
        self.withdraw(live)
        self.forget(live)
        now = time.time()
        assert live.run is not None
        # Not its text, which nobody will speak again.
        brief = {"text": "", "model": live.hosted.name, "format": live.run.plan.request.format}
        job = Job(
            live.id, "speech", state, live.owner, live.priority, brief, live.created_at,
            started_at=live.started_at or now, finished_at=now, units=live.units, result=result, error=failure,
            attempt=1,
        )  # fmt: skip
        self._recording[job.id] = job
        self.spawn(self._record(job), f"record {live.id}")
        self.tell(live, ENDINGS[state], views.of_ending(live, result, failure))

    async def _record(self, job: Job) -> None:
        try:
            await self.store.record(job)
        finally:
            del self._recording[job.id]

    def withdraw(self, live: Live) -> None:
        """Stops all work for a job; what others wait for is finished."""
        if live.ticket is not None:
            run = live.run
            live.hosted.dispatcher.withdraw(live.ticket, run.wanted_by_others if run else _by_nobody)
        if live.run is not None:
            live.run.stop(errors.Cancelled())

    def forget(self, live: Live) -> None:
        self.live.pop(live.id, None)
        self.intake.give_back(live)
        self.left.set()

    # Watch

    def _view(self, job: Job) -> dict[str, Any]:
        """A stored job; a live one with what only the memory knows."""
        live = self.live.get(job.id)
        return views.of_live(live) if live is not None and not job.state.final else views.of_stored(job)

    async def get(self, job_id: str, owner: str | None = None) -> dict[str, Any]:
        """Raises `NotFound` for an unknown id and for somebody else's."""
        live = self.live.get(job_id)
        if live is not None and owner in (None, live.owner):
            return views.of_live(live)
        return self._view(await self.stored(job_id, owner))

    async def stored(self, job_id: str, owner: str | None = None) -> Job:
        """The store's row. Raises `NotFound`."""
        job = self._recording.get(job_id)
        if job is not None and owner in (None, job.owner):
            return job
        job = await self.store.get(job_id, owner) if ids.is_id(job_id) else None
        if job is None:
            raise errors.NotFound(f"There is no job {job_id[:40]!r}")
        return job

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
        """The encoded audio of an unfinished durable job, from its beginning, as its segments finish."""
        job = await self.stored(job_id, owner)
        speech = await self.speak(SpeechRequest.from_json(job.request), job.owner, trusted=True)
        try:
            async with contextlib.aclosing(speech.stream()) as parts:
                async for data in parts:
                    yield data
        finally:
            speech.close()

    # Cancel, retry

    async def cancel(self, job_id: str, owner: str | None = None) -> dict[str, Any]:
        """Ends a job wherever it is. A final job stays as it is. Raises `NotFound`."""
        live = self.live.get(job_id)
        if live is not None and not live.durable and owner in (None, live.owner):
            view = {**views.of_live(live), "status": "cancelled", "position": None, "eta": None}
            self._release(live, State.CANCELLED, None, None)
            return view
        job = await self.store.cancel(job_id, owner) if ids.is_id(job_id) else None
        if job is None:
            raise errors.NotFound(f"There is no job {job_id[:40]!r}")
        live = self.live.get(job_id)
        if live is not None and job.state is State.CANCELLED:
            self.withdraw(live)
            self.forget(live)
            self.tell(live, "job.cancelled", views.of_ending(live, None, None))
        return views.of_stored(job)

    async def retry(self, job_id: str, owner: str | None = None) -> dict[str, Any]:
        """Queues a failed or cancelled job again; finished segments are cache hits. Raises `NotFound`, `Conflict`."""
        self._open()
        if not (await self.stored(job_id, owner)).request["text"]:
            raise errors.Conflict("This was a request that somebody waited for; its text was not kept. Send it again")
        await durable.resume(self, await self.store.retry(job_id, owner))
        return await self.get(job_id, owner)

    async def retry_unit(self, job_id: str, index: int, owner: str | None = None) -> dict[str, Any]:
        """Has one segment of a finished job made anew; the others are kept. Raises `NotFound`, `Conflict`."""
        self._open()
        job = await self.stored(job_id, owner)
        if not job.request["text"]:
            raise errors.Conflict("This was a request that somebody waited for; its text was not kept. Send it again")
        if not 0 <= index < job.units.total:
            raise errors.NotFound(f"The job has segments 0 to {job.units.total - 1}; there is no {index}")
        request = SpeechRequest.from_json(job.request).with_another_take(index)
        await durable.resume(self, await self.store.again(job_id, request.to_json(), owner))
        return await self.get(job_id, owner)

    # End

    async def close(self) -> None:
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=5)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._watch)
        return task

    def _watch(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of the job service failed", task=task.get_name(), error=repr(error), exc_info=error)


def _by_nobody(_: object) -> bool:
    return False
