"""The pool: all workers of one model. The scheduler sees their slots."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import structlog

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities
from antiphon.domain.unit import OnChunk, Unit, UnitResult
from antiphon.worker import frames, local
from antiphon.worker.channel import ChannelFactory, StartProgress
from antiphon.worker.limits import Recycling, WorkerLimits
from antiphon.worker.process import WorkerProcess
from antiphon.worker.supervisor import Supervisor

log = structlog.get_logger("antiphon.worker")

PoolState = Literal["stopped", "starting", "loading", "warming", "ready", "degraded", "unavailable"]
_PROGRESS: tuple[PoolState, ...] = ("starting", "loading", "warming")


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One worker process, as operators see it."""

    name: str
    pid: int | None
    state: str
    #: Units answered with a result.
    units: int
    #: How often its replica was restarted after a failure, and replaced for wear.
    restarts: int
    recycled: int
    #: Bytes.
    rss: int
    vram: int
    #: Ids of its units in flight.
    busy: list[str]
    #: Seconds since the epoch.
    started_at: float
    #: The machine it runs on; None: the server's own.
    node: str | None = None


class Pool:
    """An executor (see `schedule.executor`) over worker processes, here or elsewhere. Used in one event loop."""

    def __init__(
        self,
        name: str,
        load: frames.Load,
        replicas: int,
        *,
        limits: WorkerLimits | None = None,
        recycling: Recycling | None = None,
        channel_of: Callable[[int], ChannelFactory] = lambda number: local.opener(),
        on_change: Callable[[], None] = lambda: None,
        on_progress: Callable[[Unit, float], None] = lambda unit, fraction: None,
    ) -> None:
        """`load`: the engine that each worker builds. `channel_of` gives what starts the processes of replica number
        1, 2, 3 …; by default they are child processes of this one.

        `on_change` is called when a slot, a state or a phase changed, `on_progress` with how far a running unit is,
        0 to 1. They must not raise."""
        self.name, self._load = name, load
        self._limits, self._recycling = limits or WorkerLimits(), recycling or Recycling()
        self._channel_of, self._on_change, self._on_progress = channel_of, on_change, on_progress
        self.capabilities: Capabilities | None = None
        self._reserved = 0
        #: Nothing further is handed out; running units go on.
        self.on_hold = False
        self._supervisors = [self._supervisor(number) for number in range(1, replicas + 1)]
        #: Replicas that `resize` added.
        self._added: set[Supervisor] = set()
        self._tasks: dict[Supervisor, asyncio.Task[None]] = {}

    # For the scheduler

    @property
    def slots(self) -> int:
        return sum(worker.slots for worker in self._workers())

    @property
    def parallel(self) -> int:
        return sum(worker.parallel for worker in self._workers())

    @property
    def free(self) -> int:
        return 0 if self.on_hold else max(0, sum(worker.free for worker in self._workers()) - self._reserved)

    def reserve(self) -> bool:
        if self.free <= 0:
            return False
        self._reserved += 1
        return True

    def unreserve(self) -> None:
        self._reserved -= 1

    async def run(self, unit: Unit, *, on_chunk: OnChunk | None = None) -> UnitResult:
        self._reserved -= 1
        worker = max(self._workers(), key=lambda worker: worker.free, default=None)
        if worker is None or worker.free <= 0:
            raise errors.Displaced("the worker that had the slot is gone")
        return await worker.run(unit, on_chunk=on_chunk)

    def cancel(self, unit_id: str) -> None:
        for worker in self._workers():
            if worker.cancel(unit_id):
                return

    # For operators

    @property
    def state(self) -> PoolState:
        if not self._tasks:
            return "stopped"
        ready = sum(any(worker.state == "ready" for worker in supervisor.workers()) for supervisor in self._supervisors)
        if ready == len(self._supervisors):
            return "ready"
        if ready:
            # A replica that was added and is not ready yet is not down.
            coming = sum(each.fresh for each in self._added)
            return "ready" if ready + coming == len(self._supervisors) else "degraded"
        if all(supervisor.hopeless for supervisor in self._supervisors):
            return "unavailable"
        reached = {worker.state for worker in self._workers()}
        return next((state for state in reversed(_PROGRESS) if state in reached), "starting")

    @property
    def phase(self) -> str | None:
        """What a starting worker is doing, in a few words; None if none starts."""
        starting = (worker for worker in self._workers() if worker.state in ("loading", "warming"))
        return next((worker.phase.name for worker in starting if worker.phase), None)

    @property
    def fetching(self) -> StartProgress | None:
        """How far the files are that a worker waits for; None if none waits."""
        waits = (worker.start_progress for worker in self._workers())
        return next((progress for progress in waits if progress and progress.bytes_total), None)

    @property
    def error(self) -> str | None:
        """Why a worker is down; None if none is."""
        return next((supervisor.error for supervisor in self._supervisors if supervisor.error), None)

    @property
    def hint(self) -> str | None:
        """What would help against `error`."""
        return next((supervisor.hint for supervisor in self._supervisors if supervisor.hint), None)

    def workers(self) -> list[WorkerInfo]:
        return [
            WorkerInfo(
                name=worker.name,
                pid=worker.pid,
                state="draining" if worker.state == "ready" and not worker.accepting else worker.state,
                units=worker.units,
                restarts=supervisor.restarts,
                recycled=supervisor.recycled,
                rss=worker.rss,
                vram=worker.vram,
                busy=worker.busy,
                started_at=worker.started_at,
                node=worker.node,
            )
            for supervisor in self._supervisors
            for worker in supervisor.workers()
        ]

    def restart(self, name: str) -> bool:
        """Replaces a worker between two units; False if there is none of that name."""
        found = [each for each in self._supervisors if any(worker.name == name for worker in each.workers())]
        for supervisor in found:
            supervisor.restart()
        return bool(found)

    # Start, stop

    async def start(self) -> None:
        """Begins to start the workers, and returns. Called in the main thread; also after a `stop`."""
        for supervisor in self._supervisors:
            self._run(supervisor)
        self._changed()

    async def stop(self, grace: float) -> None:
        """Ends all workers, each after at most `grace` seconds for its units."""
        await self._end([*self._tasks.values()], self._supervisors, grace)
        self._tasks = {}

    async def resize(self, replicas: int, grace: float) -> None:
        """Adds or removes replicas. A removed one gets at most `grace` seconds for its units in flight."""
        # Replicas without slots go first, then those with the fewest units.
        by_worth = sorted(self._supervisors, key=lambda each: [(w.slots > 0, len(w.busy)) for w in each.workers()])
        leaving = by_worth[: max(0, self.replicas - replicas)]
        self._supervisors = [supervisor for supervisor in self._supervisors if supervisor not in leaving]
        names = {supervisor.name for supervisor in self._supervisors}
        free = (number for number in itertools.count(1) if f"{self.name}-{number}" not in names)
        added = [self._supervisor(number) for number in itertools.islice(free, max(0, replicas - self.replicas))]
        self._supervisors += added
        self._added = {supervisor for supervisor in (*self._added, *added) if supervisor in self._supervisors}
        if not self._tasks:
            return
        for supervisor in added:
            self._run(supervisor)
        self._changed()
        await self._end([self._tasks.pop(supervisor) for supervisor in leaving], leaving, grace)

    async def _end(self, tasks: list[asyncio.Task[None]], supervisors: list[Supervisor], grace: float) -> None:
        # First the tasks, which would start new workers.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(supervisor.stop(grace) for supervisor in supervisors))

    def _run(self, supervisor: Supervisor) -> None:
        task = self._tasks[supervisor] = asyncio.create_task(supervisor.run(), name=f"supervisor {supervisor.name}")
        task.add_done_callback(self._watch)

    @property
    def replicas(self) -> int:
        """Workers that it has when all are ready."""
        return len(self._supervisors)

    @property
    def size(self) -> int:
        """Bytes that its workers held when they were ready, main memory and GPU together."""
        return sum(worker.size_ready for worker in self._workers())

    def _workers(self) -> list[WorkerProcess]:
        return [worker for supervisor in self._supervisors for worker in supervisor.workers()]

    def _supervisor(self, number: int) -> Supervisor:
        make = partial(self._make, self._channel_of(number))
        return Supervisor(f"{self.name}-{number}", make, self._recycling, on_change=self._changed)

    def _make(self, start_channel: ChannelFactory, name: str) -> WorkerProcess:
        return WorkerProcess(
            name, self._load, self._limits, start_channel=start_channel, on_change=self._changed,
            on_line=lambda line: log.info("worker says", worker=name, line=line), on_progress=self._on_progress,
        )  # fmt: skip

    def _changed(self) -> None:
        can = next((worker.capabilities for worker in self._workers() if worker.slots), None)
        self.capabilities = can or self.capabilities
        self._on_change()

    def _watch(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("a supervisor failed", task=task.get_name(), error=repr(error), exc_info=error)
