"""A job that is not final: what the server keeps of it in memory, small while it is queued, whole once it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from antiphon.domain import errors
from antiphon.domain.job import JobType, Priority, State, Units
from antiphon.domain.unit import Unit, UnitResult
from antiphon.jobs.run import JobRun
from antiphon.models.served import ServedModel
from antiphon.schedule.fair_queue import Ticket


@dataclass(slots=True, eq=False)
class ActiveJob:
    """The payload of a ticket. A queued durable job has no run: its text is on disk until a slot is free for it."""

    id: str
    owner: str
    priority: Priority
    #: Survives the connection and the server; else it lives as long as the request that waits for it.
    durable: bool
    created_at: float
    served: ServedModel
    units: Units
    type: JobType = "speech"
    #: Digest of the upload that its units are made from.
    source: str | None = None
    #: Seconds since the epoch; None: none.
    deadline: float | None = None
    #: Predicted seconds and bytes of text that admission counts for it.
    seconds: float = 0.0
    nbytes: int = 0
    #: Level of prices (see `Dispatcher.price_level`) when its units were priced.
    price_level: float = 1.0
    #: Monotonic seconds since when it waits, for a job of an earlier life; None: since it is queued.
    arrived: float | None = None
    #: How far units are that a worker has, 0 to 1 by number; only of those that tell it.
    begun: dict[int, float] = field(default_factory=dict)
    ticket: Ticket | None = None
    run: JobRun | None = None
    #: Makes the run of a durable job and sets `run`; called once, when its first unit is due.
    load: Callable[[ActiveJob], Awaitable[None]] | None = None
    loading: asyncio.Lock | None = None
    #: Told when the first unit is due.
    on_start: Callable[[ActiveJob], None] | None = None
    started_at: float | None = None
    #: Resolves to the attempt's number once the store knows that it runs; None if it may not run any more.
    fence: asyncio.Future[int | None] | None = None
    task: asyncio.Task[None] | None = None
    #: Starts so far, this one included.
    attempts: int = 0
    warnings: tuple[str, ...] = field(default_factory=tuple)
    #: For those who watch: seconds that its owner was told it takes, when its last segment was made (since the epoch),
    #: and what a tracer keeps of the request that brought it.
    told: float | None = None
    made_at: float | None = None
    trace: object | None = None

    @property
    def state(self) -> State:
        return State.QUEUED if self.started_at is None else State.RUNNING

    @property
    def progress(self) -> float:
        """0 to 1; what workers told of units that are not done counts in part."""
        return (self.units.done + sum(self.begun.values())) / self.units.total if self.units.total else 0.0

    # The dispatcher's source

    async def unit(self, index: int) -> Unit | None:
        if self.run is None:
            await self._loaded()
        if self.started_at is None and self.on_start is not None:
            self.on_start(self)
        assert self.run is not None
        return await self.run.unit(index)

    def done(self, index: int, result: UnitResult) -> None:
        assert self.run is not None
        seconds = self.run.plan.audio_seconds(result)
        if seconds is not None:
            self.served.dispatcher.cost.learn_audio(self.run.plan.length(index), seconds)
        self.run.done(index, result)

    def lost(self, index: int) -> None:
        self.begun.pop(index, None)
        if self.run is not None:
            self.run.lost(index)

    def failed(self, index: int, error: errors.AntiphonError) -> None:
        if self.run is not None:
            self.run.failed(index, error)

    async def _loaded(self) -> None:
        self.loading = self.loading or asyncio.Lock()
        async with self.loading:
            if self.run is None:
                assert self.load is not None
                await self.load(self)
