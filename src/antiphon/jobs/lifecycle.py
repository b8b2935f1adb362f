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
from antiphon.domain.work import Plan
from antiphon.files.store import FileStore
from antiphon.jobs import durable, repricing, views
from antiphon.jobs.active import ActiveJob
from antiphon.jobs.kind import Kinds
from antiphon.jobs.run import WORTH_SHARING, JobRun, SharedResults
from antiphon.jobs.webhooks import Webhooks
from antiphon.models.registry import ModelRegistry
from antiphon.models.served import ServedModel
from antiphon.schedule.fair_queue import Ticket
from antiphon.speech import planner
from antiphon.speech.planner import JobAdmission
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


class JobLifecycle:
    """Everything that is not final is in `active`; everything durable is in the store as well."""

    def __init__(
        self,
        intake: JobAdmission,
        models: ModelRegistry,
        store: JobStore,
        cache: Cache,
        bus: Bus,
        webhooks: Webhooks,
        threads: Threads,
        files: FileStore,
        kinds: Kinds,
    ) -> None:
        self.intake, self.models, self.store, self.bus = intake, models, store, bus
        self.webhooks, self.threads, self.files = webhooks, threads, files
        self.kinds = kinds
        self.shared = SharedResults(cache, SingleFlight())
        self.active: dict[str, ActiveJob] = {}
        #: Ended requests that are not in the store yet; whoever was answered may ask for them at once.
        self._recording: dict[str, Job] = {}
        self._records: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._waits: set[asyncio.Task[Any]] = set()
        self.draining = False
        #: Set whenever a job leaves `active`.
        self.left = asyncio.Event()
        self._repricing: set[str] = set()
        self.observer = Observer()
        #: Asks the servers that share the store how an unfinished job looks that none of ours is.
        self.elsewhere: Callable[[str], Awaitable[dict[str, Any] | None]] = _nowhere

    # Work

    def take_in(self, active: ActiveJob, missing: builtins.list[int], costs: builtins.list[float]) -> None:
        """From here on a durable job is worked on."""
        active.load = self._load
        self.active[active.id] = active
        self.tell(active, "job.queued")
        if missing:
            self._enqueue(active, missing, costs)
        else:
            self.spawn(self._start_cached(active), f"job {active.id}")

    def new_run(self, active: ActiveJob, plan: Plan, *, read_cache: bool = True, write_cache: bool = True) -> JobRun:
        return JobRun(
            active.id,
            plan,
            self.shared,
            read_cache=read_cache,
            write_cache=write_cache,
            on_unit=lambda index, cached: self._unit_done(active, index, cached),
            on_failure=lambda error: self.withdraw(active),
            again=lambda index: self.again(active, index),
            dear=lambda index: _dear(active.served, plan, index),
        )

    def again(self, active: ActiveJob, index: int) -> None:
        """Queues a unit of a running job once more."""
        if active.id not in self.active or active.run is None:
            return
        if active.ticket is not None:
            active.served.dispatcher.requeue(active.ticket, index, active.run.plan.length(index))
        else:
            self._enqueue(active, [index], planner.costs(active.served, active.run.plan, [index]))

    def _enqueue(self, active: ActiveJob, missing: builtins.list[int], costs: builtins.list[float]) -> None:
        active.on_start, active.price_level = self._started, active.served.dispatcher.price_level
        active.served.dispatcher.on_price_level = lambda: self._reprice_soon(active.served)
        indices = None if len(missing) == active.units.total else missing
        # Deadlines are wall-clock times; the queue knows only the clock that never jumps.
        deadline = None if active.deadline is None else time.monotonic() + active.deadline - time.time()
        self.observer.arrived(active, len(missing))
        active.ticket = Ticket(
            active.id, active.owner, active.priority, costs, indices, active, deadline=deadline, arrived=active.arrived
        )
        self.models.residency.wake(active.served.name)
        active.served.dispatcher.submit(active.ticket)

    def _reprice_soon(self, served: ServedModel) -> None:
        if served.name not in self._repricing:
            self._repricing.add(served.name)
            self.spawn(self._reprice(served), f"reprice {served.name}")

    async def _reprice(self, served: ServedModel) -> None:
        self._repricing.discard(served.name)
        await repricing.reprice(served, tuple(self.active.values()))

    async def _load(self, active: ActiveJob) -> None:
        await durable.load(self, active)

    async def _start_cached(self, active: ActiveJob) -> None:
        """A job that needs no slot: everything it asks for was made before."""
        with contextlib.suppress(errors.Cancelled):
            await durable.load(self, active)
        if active.id not in self.active:
            return
        self._started(active)
        assert active.run is not None
        for index in active.run.missing():
            self.again(active, index)

    def sources(self) -> frozenset[str]:
        """Digests of the recordings that live jobs need."""
        return frozenset(active.source for active in self.active.values() if active.source)

    # What happens to a job

    def tell(self, active: ActiveJob, type_: EventType, extra: Mapping[str, Any] | None = None) -> None:
        self.observer.told(active, type_, extra)
        data: dict[str, Any] = {"status": str(active.state), "progress": round(active.progress, 4)}
        data["units"] = {"total": active.units.total, "done": active.units.done, "cached": active.units.cached}
        if active.id in self.active and self.bus.heard(active.id, active.owner):
            # The place in line costs a look over all flows: only for somebody who listens.
            data["position"], data["eta"] = views.place(active)
        self.bus.publish(type_, active.id, active.owner, {**data, **(extra or {})})

    def publish_end(self, job: Job) -> None:
        """Tells of a job that ended without being live here."""
        self.bus.publish(ENDINGS[job.state], job.id, job.owner, views.of_ended(job))

    def _started(self, active: ActiveJob) -> None:
        active.started_at = time.time()
        active.attempts += 1
        if active.durable:
            active.fence = asyncio.ensure_future(durable.start(self, active.id))
            active.task = self.spawn(durable.carry(self, active), f"job {active.id}")
        self.tell(active, "job.started")

    def _unit_done(self, active: ActiveJob, index: int, cached: bool) -> None:
        run = active.run
        if run is None or active.id not in self.active:
            return
        active.units = Units(run.total, run.done_units, run.cached)
        active.begun.pop(index, None)
        self.intake.spend(active, active.served.dispatcher.cost.predict(run.plan.length(index)))
        self.tell(active, "unit.done", {"index": index, "cached": cached})
        if active.durable and active.units.total > 1 and active.fence is not None and active.fence.done():
            fence = active.fence.result()
            if fence is not None:
                self.spawn(self.store.progress(active.id, fence, active.units), f"progress {active.id}")

    def unit_progress(self, unit: Unit, fraction: float) -> None:
        """A worker told how far a unit is. Jobs that wait for another's unit hear of it when it is done."""
        active = self.active.get(unit.job)
        if active is not None and active.run is not None:
            active.begun[unit.index] = fraction
            self.tell(active, "job.progress", {"unit": {"index": unit.index, "progress": round(fraction, 4)}})

    def release(self, active: ActiveJob, state: State, result: Result | None, failure: Failure | None) -> None:
        """The end of a request whose caller waited: it is taken out and recorded."""
        if active.id not in self.active:
            return
        self.withdraw(active)
        self.forget(active)
        now = time.time()
        assert active.run is not None
        # A summary: the job is not run again. The empty text says so to servers of the version before.
        brief = {"text": "", "model": active.served.name, "format": getattr(active.run.plan.request, "format", "")}
        job = Job(
            active.id, active.type, state, active.owner, active.priority, brief, active.created_at,
            started_at=active.started_at or now, finished_at=now, units=active.units, result=result, error=failure,
            attempt=1, kept=False,
        )  # fmt: skip
        self._recording[job.id] = job
        self._records[job.id] = self.spawn(self._record(job), f"record {active.id}")
        self.tell(active, ENDINGS[state], views.of_ending(active, result, failure))

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
        if record is not None and self.store.cluster is not None:
            await asyncio.wait({record}, timeout=RECORD_PATIENCE)

    def withdraw(self, active: ActiveJob) -> None:
        """Stops all work for a job; what others wait for is finished."""
        if active.ticket is not None:
            run = active.run
            active.served.dispatcher.withdraw(active.ticket, run.wanted_by_others if run else _by_nobody)
        if active.run is not None:
            active.run.stop(errors.Cancelled())

    def forget(self, active: ActiveJob) -> None:
        self.active.pop(active.id, None)
        self.intake.give_back(active)
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


def _dear(served: ServedModel, plan: Plan, index: int) -> bool:
    cost = served.dispatcher.cost
    return cost.count == 0 or cost.predict(plan.length(index)) >= WORTH_SHARING


async def _nowhere(job: str) -> dict[str, Any] | None:
    return None


def _by_nobody(_: object) -> bool:
    return False
