"""All workers of one model: what the scheduler sees of them is slots."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import structlog

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities
from antiphon.domain.unit import Unit, UnitResult
from antiphon.worker import local
from antiphon.worker.channel import ChannelFactory, StartProgress
from antiphon.worker.in_flight import WorkerLimits
from antiphon.worker.process import WorkerProcess
from antiphon.worker.supervisor import Recycling, Supervisor

log = structlog.get_logger("antiphon.worker")

PoolState = Literal["stopped", "starting", "loading", "warming", "ready", "degraded", "unavailable"]
_PROGRESS: tuple[PoolState, ...] = ("starting", "loading", "warming")


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One worker process, for people."""

    name: str
    pid: int | None
    state: str
    #: Units answered with a result.
    units: int
    #: How often its place was staffed anew after a failure, and for wear.
    restarts: int
    recycled: int
    #: Bytes.
    rss: int
    vram: int
    #: Ids of the units that it holds.
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
        engine_ref: str,
        options: Mapping[str, Any],
        replicas: int,
        *,
        heartbeat_timeout: float = 10.0,
        unit_timeout: float = 300.0,
        cancel_grace: float = 2.0,
        recycle_units: int = 0,
        recycle_growth: int = 0,
        recycle_leak: int = 0,
        environments: Sequence[Mapping[str, str]] = (),
        start_channel: ChannelFactory | None = None,
        spare_first: bool = True,
        footprint: int = 0,
        on_change: Callable[[], None] = lambda: None,
        on_progress: Callable[[Unit, float], None] = lambda unit, fraction: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`environments`: what each place's processes find in theirs besides ours; those that are not named, nothing.
        `start_channel`: starts them somewhere else.

        `on_change` is called whenever a slot, a state or a phase changed, `on_progress` when a worker
        reports how far a unit is, 0 to 1. Both must not raise."""
        self.name, self._engine, self._options = name, engine_ref, dict(options)
        self._limits = WorkerLimits(
            heartbeat_timeout=heartbeat_timeout, unit_timeout=unit_timeout, cancel_grace=cancel_grace
        )
        self._on_change, self._clock = on_change, clock
        self.capabilities: Capabilities | None = None
        self._reserved = 0
        self._on_progress = on_progress
        #: Nothing further is handed out; what runs goes on.
        self.held = False
        self._environments, self._start_channel = environments, start_channel
        self._supervise = partial(
            Supervisor,
            recycling=Recycling(recycle_units, recycle_growth, recycle_leak),
            on_change=self._changed,
            spare_first=spare_first,
            footprint=footprint,
            clock=clock,
        )
        self._places = [self._place(number) for number in range(1, replicas + 1)]
        #: Places that it did not have at its start.
        self._grown: set[Supervisor] = set()
        self._tasks: dict[Supervisor, asyncio.Task[None]] = {}

    # What the scheduler asks

    @property
    def slots(self) -> int:
        return sum(worker.slots for worker in self._workers())

    @property
    def free(self) -> int:
        return 0 if self.held else max(0, sum(worker.free for worker in self._workers()) - self._reserved)

    def reserve(self) -> bool:
        if self.free <= 0:
            return False
        self._reserved += 1
        return True

    def unreserve(self) -> None:
        self._reserved -= 1

    async def run(self, unit: Unit) -> UnitResult:
        self._reserved -= 1
        worker = max(self._workers(), key=lambda worker: worker.free, default=None)
        if worker is None or worker.free <= 0:
            raise errors.Displaced("the worker that had the slot is gone")
        return await worker.run(unit)

    def cancel(self, unit_id: str) -> None:
        for worker in self._workers():
            if worker.cancel(unit_id):
                return

    # What people ask

    @property
    def state(self) -> PoolState:
        if not self._tasks:
            return "stopped"
        ready = sum(any(worker.state == "ready" for worker in place.workers()) for place in self._places)
        if ready == len(self._places):
            return "ready"
        if ready:
            # One that was wanted later, and is still to come, is not down.
            waited = sum(place.fresh for place in self._places if place in self._grown)
            return "ready" if ready + waited == len(self._places) else "degraded"
        if all(place.hopeless for place in self._places):
            return "unavailable"
        reached = {worker.state for worker in self._workers()}
        return next((state for state in reversed(_PROGRESS) if state in reached), "starting")

    @property
    def phase(self) -> str | None:
        """What the start of a worker is at, in a few words; None when all are ready."""
        phases = [w.phase.name for w in self._workers() if w.state in ("loading", "warming") and w.phase]
        return phases[0] if phases else None

    @property
    def fetching(self) -> StartProgress | None:
        """How far the files are for which a worker waits; None: none does."""
        return next(
            (w.start_progress for w in self._workers() if w.start_progress and w.start_progress.bytes_total), None
        )

    @property
    def error(self) -> str | None:
        """Why a worker is down."""
        return next((place.error for place in self._places if place.error), None)

    @property
    def hint(self) -> str | None:
        return next((place.hint for place in self._places if place.hint), None)

    def workers(self) -> list[WorkerInfo]:
        return [
            WorkerInfo(
                name=worker.name,
                pid=worker.pid,
                state="draining" if worker.state == "ready" and not worker.accepting else worker.state,
                units=worker.units,
                restarts=place.restarts,
                recycled=place.recycled,
                rss=worker.rss,
                vram=worker.vram,
                busy=worker.busy,
                started_at=worker.started_at,
                node=worker.node,
            )
            for place in self._places
            for worker in place.workers()
        ]

    def restart(self, name: str) -> bool:
        """Replaces a worker between two units; False if there is none of that name."""
        for place in self._places:
            if any(worker.name == name for worker in place.workers()):
                place.restart()
                return True
        return False

    # Start, stop

    async def start(self) -> None:
        """Begins to start the workers and returns; must be called in the main thread. Also after a `stop`."""
        for place in self._places:
            self._run(place)
        self._changed()

    async def stop(self, grace: float) -> None:
        """Ends all workers; what they hold gets `grace` seconds."""
        # First those who would start new ones.
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(place.stop(grace) for place in self._places))
        self._tasks = {}

    async def resize(self, replicas: int, grace: float) -> None:
        """Has more or fewer places from now on; what leaves finishes what it holds, for at most `grace` seconds."""
        # Those that serve nobody yet go first, then those with the least to finish.
        by_worth = sorted(self._places, key=lambda place: [(w.slots > 0, len(w.busy)) for w in place.workers()])
        leaving = by_worth[: max(0, len(self._places) - replicas)]
        self._places = [place for place in self._places if place not in leaving]
        names = {place.name for place in self._places}
        free = (number for number in itertools.count(1) if f"{self.name}-{number}" not in names)
        grown = [self._place(number) for number in itertools.islice(free, max(0, replicas - len(self._places)))]
        self._places += grown
        self._grown = {place for place in (*self._grown, *grown) if place in self._places}
        if not self._tasks:
            return
        for place in grown:
            self._run(place)
        self._changed()
        tasks = [self._tasks.pop(place) for place in leaving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(place.stop(grace) for place in leaving))

    def _run(self, place: Supervisor) -> None:
        task = self._tasks[place] = asyncio.create_task(place.run(), name=f"supervisor {place.name}")
        task.add_done_callback(self._watch)

    @property
    def places(self) -> int:
        """Workers that it has when all are up."""
        return len(self._places)

    @property
    def size(self) -> int:
        """Bytes that its workers held when they were ready, main memory and GPU together."""
        return sum(worker.size_ready for worker in self._workers())

    def _workers(self) -> list[WorkerProcess]:
        return [worker for place in self._places for worker in place.workers()]

    def _place(self, number: int) -> Supervisor:
        environment = self._environments[number - 1] if number <= len(self._environments) else {}
        name = f"{self.name}-{number}"
        return self._supervise(name, partial(self._make, self._start_channel or local.opener(environment)))

    def _make(self, start_channel: ChannelFactory, name: str) -> WorkerProcess:
        return WorkerProcess(
            name,
            self._engine,
            self._options,
            self._limits,
            start_channel=start_channel,
            on_change=self._changed,
            on_line=lambda line: log.info("worker says", worker=name, line=line),
            on_progress=lambda unit, fraction: self._on_progress(unit, fraction),
            clock=self._clock,
        )

    def _changed(self) -> None:
        can = next((worker.capabilities for worker in self._workers() if worker.slots), None)
        self.capabilities = can or self.capabilities
        self._on_change()

    def _watch(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("a supervisor failed", task=task.get_name(), error=repr(error), exc_info=error)
