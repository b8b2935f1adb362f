"""The workshop: what is being worked on, from the moment a job is taken to its end."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import structlog

from antiphon.bus import Bus
from antiphon.cache import Cache, SingleFlight
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.event import EventType
from antiphon.domain.job import Failure, Job, Result, State, Units
from antiphon.domain.unit import Unit
from antiphon.domain.work import Work
from antiphon.files.store import Depot
from antiphon.jobs import durable, repricing, views
from antiphon.jobs.active import Live
from antiphon.jobs.kind import Kinds
from antiphon.jobs.run import WORTH_SHARING, Run, Shelf
from antiphon.jobs.webhooks import Webhooks
from antiphon.models.registry import Models
from antiphon.models.served import Hosted
from antiphon.schedule.queue import Ticket
from antiphon.speech import planner
from antiphon.speech.planner import Intake
from antiphon.stats.observer import Observer
from antiphon.store.base import JobStore

log = structlog.get_logger("antiphon.jobs")

#: Seconds that somebody who was served waits for it to be known elsewhere.
RECORD_PATIENCE = 5.0
#: Ended requests that wait for a store that is away, at most, and seconds between two tries.
RECORDS_WAITING, RECORD_AGAIN = 1000, 2.0

ENDINGS: Mapping[State, EventType] = {
    State.SUCCEEDED: "job.succeeded",
    State.FAILED: "job.failed",
    State.CANCELLED: "job.cancelled",
}


class Workshop:
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
        depot: Depot,
        kinds: Kinds,
    ) -> None:
        self.intake, self.models, self.store, self.bus = intake, models, store, bus
        self.webhooks, self.threads, self.depot = webhooks, threads, depot
        self.kinds = kinds
        self.shelf = Shelf(cache, SingleFlight())
        self.live: dict[str, Live] = {}
        #: Ended requests that are not in the store yet; whoever was answered may ask for them at once.
        self._recording: dict[str, Job] = {}
        self._records: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._waits: set[asyncio.Task[Any]] = set()
        self.draining = False
        #: Set whenever a job leaves `live`.
        self.left = asyncio.Event()
        self._repricing: set[str] = set()
        self.observer = Observer()
        #: Asks the servers that share the store how an unfinished job looks that none of ours is.
        self.elsewhere: Callable[[str], Awaitable[dict[str, Any] | None]] = _nowhere

    # Work

    def take_in(self, live: Live, missing: builtins.list[int], costs: builtins.list[float]) -> None:
        """From here on a durable job is worked on."""
        live.load = self._load
        self.live[live.id] = live
        self.tell(live, "job.queued")
        if missing:
            self._enqueue(live, missing, costs)
        else:
            self.spawn(self._start_cached(live), f"job {live.id}")

    def new_run(self, live: Live, plan: Work, *, read_cache: bool = True, write_cache: bool = True) -> Run:
        return Run(
            live.id,
            plan,
            self.shelf,
            read_cache=read_cache,
            write_cache=write_cache,
            on_unit=lambda index, cached: self._unit_done(live, index, cached),
            on_failure=lambda error: self.withdraw(live),
            again=lambda index: self.again(live, index),
            dear=lambda index: _dear(live.hosted, plan, index),
        )

    def again(self, live: Live, index: int) -> None:
        """Queues a unit of a running job once more."""
        if live.id not in self.live or live.run is None:
            return
        if live.ticket is not None:
            live.hosted.dispatcher.again(live.ticket, index, live.run.plan.length(index))
        else:
            self._enqueue(live, [index], planner.costs(live.hosted, live.run.plan, [index]))

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
        self.models.residency.wake(live.hosted.name)
        live.hosted.dispatcher.submit(live.ticket)

    def _reprice_soon(self, hosted: Hosted) -> None:
        if hosted.name not in self._repricing:
            self._repricing.add(hosted.name)
            self.spawn(self._reprice(hosted), f"reprice {hosted.name}")

    async def _reprice(self, hosted: Hosted) -> None:
        self._repricing.discard(hosted.name)
        await repricing.reprice(hosted, tuple(self.live.values()))

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

    def sources(self) -> frozenset[str]:
        """Digests of the recordings that live jobs need."""
        return frozenset(live.source for live in self.live.values() if live.source)

    # What happens to a job

    def tell(self, live: Live, type_: EventType, extra: Mapping[str, Any] | None = None) -> None:
        self.observer.told(live, type_, extra)
        data: dict[str, Any] = {"status": str(live.state), "progress": round(live.progress, 4)}
        data["units"] = {"total": live.units.total, "done": live.units.done, "cached": live.units.cached}
        if live.id in self.live and self.bus.heard(live.id, live.owner):
            # The place in line costs a look over all flows: only for somebody who listens.
            data["position"], data["eta"] = views.place(live)
        self.bus.publish(type_, live.id, live.owner, {**data, **(extra or {})})

    def publish_end(self, job: Job) -> None:
        """Tells of a job that ended without being live here."""
        self.bus.publish(ENDINGS[job.state], job.id, job.owner, views.of_ended(job))

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
        live.begun.pop(index, None)
        self.intake.spend(live, live.hosted.dispatcher.cost.predict(run.plan.length(index)))
        self.tell(live, "unit.done", {"index": index, "cached": cached})
        if live.durable and live.units.total > 1 and live.fence is not None and live.fence.done():
            fence = live.fence.result()
            if fence is not None:
                self.spawn(self.store.progress(live.id, fence, live.units), f"progress {live.id}")

    def unit_progress(self, unit: Unit, fraction: float) -> None:
        """A worker told how far a unit is. Jobs that wait for another's unit hear of it when it is done."""
        live = self.live.get(unit.job)
        if live is not None and live.run is not None:
            live.begun[unit.index] = fraction
            self.tell(live, "job.progress", {"unit": {"index": unit.index, "progress": round(fraction, 4)}})

    def release(self, live: Live, state: State, result: Result | None, failure: Failure | None) -> None:
        """The end of a request whose caller waited: it is taken out and recorded."""
        if live.id not in self.live:
            return
        self.withdraw(live)
        self.forget(live)
        now = time.time()
        assert live.run is not None
        # Not its text, which nobody will speak again.
        brief = {"text": "", "model": live.hosted.name, "format": getattr(live.run.plan.request, "format", "")}
        job = Job(
            live.id, live.type, state, live.owner, live.priority, brief, live.created_at,
            started_at=live.started_at or now, finished_at=now, units=live.units, result=result, error=failure,
            attempt=1,
        )  # fmt: skip
        self._recording[job.id] = job
        self._records[job.id] = self.spawn(self._record(job), f"record {live.id}")
        self.tell(live, ENDINGS[state], views.of_ending(live, result, failure))

    async def _record(self, job: Job) -> None:
        try:
            while True:
                try:
                    return await self.store.record(job)
                except errors.StoreAway as e:
                    if len(self._recording) > RECORDS_WAITING:
                        raise
                    # It is known from the memory meanwhile.
                    log.info("an ended request waits for the store", job=job.id, error=e.message)
                    await asyncio.sleep(RECORD_AGAIN)
        finally:
            del self._recording[job.id], self._records[job.id]

    async def recorded(self, job_id: str) -> None:
        """Returns once an ended request is known to every server; the store's trouble is not the caller's."""
        record = self._records.get(job_id)
        if record is not None and self.store.exchange is not None:
            await asyncio.wait({record}, timeout=RECORD_PATIENCE)

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

    # End

    async def close(self) -> None:
        for task in tuple(self._waits):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=5)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str, *, waits: bool = False) -> asyncio.Task[Any]:
        """Runs beside whoever asks. What only `waits` for better times is not waited for at the end."""
        task = asyncio.create_task(coroutine, name=name)
        if waits:
            self._waits.add(task)
            task.add_done_callback(self._waits.discard)
        self._tasks.add(task)
        task.add_done_callback(self._watch)
        return task

    def _watch(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of the job service failed", task=task.get_name(), error=repr(error), exc_info=error)


def _dear(hosted: Hosted, plan: Work, index: int) -> bool:
    cost = hosted.dispatcher.cost
    return cost.count == 0 or cost.predict(plan.length(index)) >= WORTH_SHARING


async def _nowhere(job: str) -> dict[str, Any] | None:
    return None


def _by_nobody(_: object) -> bool:
    return False
