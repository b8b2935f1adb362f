"""Active job: what the server keeps in memory of a job that is not final."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from antiphon.domain import errors, ids
from antiphon.domain.job import NO_ORDERS, Kind, Orders, Priority, State, Units
from antiphon.domain.plan import Plan
from antiphon.domain.unit import Unit, UnitResult
from antiphon.jobs.run import JobRun
from antiphon.models.served import ServedModel
from antiphon.schedule.ticket import Ticket

#: Warnings of one job, and the characters of a text that a warning quotes.
MAX_WARNINGS, WARNED_CHARS = 20, 30


@dataclass(slots=True, eq=False)
class ActiveJob:
    """The payload of a ticket, and its dispatcher's source of units. A queued durable job that found no free slot has
    no run: its text stays on disk until a slot is free for it, so that a long queue is small."""

    id: str
    owner: str
    priority: Priority
    #: It survives the connection and the server; else it lives as long as the request that waits for it.
    durable: bool
    #: Somebody waits for it: it goes before its owner's durable jobs of its class, and counts apart from them.
    waiting: bool
    #: Seconds since the epoch.
    created_at: float
    served: ServedModel
    units: Units
    type: Kind = "speech"
    #: Digest of the recording that its units are made from.
    source: str | None = None
    #: Seconds since the epoch; None: none.
    deadline: float | None = None
    #: What an operator set.
    orders: Orders = NO_ORDERS
    #: Predicted seconds, and bytes of text, that admission counts for it.
    seconds: float = 0.0
    nbytes: int = 0
    #: Whether it counts as longer than what one client may have waiting (see `Admission.take`).
    long: bool = False
    #: Seconds of audio that its owner's quota counts for it until its end.
    reserved: float = 0.0
    #: Seconds of its audio that its caller or a listener got before its end; of several, the one who got most.
    heard: float = 0.0
    #: Price level (see `Dispatcher.price_level`) at which its units were priced.
    price_level: float = 1.0
    #: Monotonic seconds since when a job of a previous process waits; None: since it is queued.
    arrived: float | None = None
    #: Progress, 0 to 1, of each unit that a worker computes and reports on, by unit number; None: none was reported.
    unit_progress: dict[int, float] | None = None
    ticket: Ticket | None = None
    run: JobRun | None = None
    #: Makes the run of a durable job and sets `run`. Called once, when the first unit is due.
    load: Callable[[ActiveJob], Awaitable[None]] | None = None
    loading: asyncio.Lock | None = None
    #: Called when the first unit is due, and after each unit that is done.
    on_start: Callable[[ActiveJob], None] | None = None
    on_unit: Callable[[ActiveJob], None] | None = None
    #: Seconds since the epoch.
    started_at: float | None = None
    #: The number of this attempt, once the store knows that it runs; None if it may not run any more.
    fence: asyncio.Future[int | None] | None = None
    #: Makes a durable job's file and ends the job.
    task: asyncio.Task[None] | None = None
    #: Starts so far, this one included.
    attempts: int = 0
    warnings: tuple[str, ...] = ()
    #: For observers: the seconds that its owner was told it takes, and when its last unit was done (since the epoch).
    promised_seconds: float | None = None
    last_unit_at: float | None = None
    #: What a tracer keeps of the request that brought the job.
    trace: object | None = None

    @property
    def state(self) -> State:
        return State.QUEUED if self.started_at is None else State.RUNNING

    @property
    def progress(self) -> float:
        """0 to 1; a unit that a worker reports on counts in part."""
        return (
            (self.units.done + sum((self.unit_progress or {}).values())) / self.units.total if self.units.total else 0.0
        )

    @property
    def plan(self) -> Plan:
        """The plan of its run, which it must have."""
        assert self.run is not None
        return self.run.plan

    def obey(self, orders: Orders) -> None:
        """Takes over what an operator set before this process took the job up."""
        self.orders = orders
        if orders.priority is not None:
            self.priority, self.deadline = orders.priority, None

    def count_units(self) -> None:
        """Takes the progress over from the run."""
        assert self.run is not None
        self.units = Units(self.run.total, self.run.done_units, self.run.cached)

    def report_progress(self, index: int, fraction: float) -> None:
        """A worker says how far a unit is, 0 to 1."""
        self.unit_progress = (self.unit_progress or {}) | {index: fraction}

    def forget_progress(self, index: int) -> None:
        if self.unit_progress:
            self.unit_progress.pop(index, None)

    # The dispatcher's source of units

    async def unit(self, index: int) -> Unit | None:
        if self.run is None:
            await self._load_once()
        if self.started_at is None and self.on_start is not None:
            self.on_start(self)
        assert self.run is not None
        return await self.run.unit(index)

    def done(self, index: int, result: UnitResult) -> None:
        assert self.run is not None
        if (problem := self.served.problem(result)) is not None:
            words = f"The model's answer is not what a model for {self.type} gives: {problem}"
            self.run.failed(index, errors.UnitFailed(words))
            return
        if (seconds := self.run.plan.audio_seconds(result)) is not None:
            self.served.dispatcher.cost.learn_audio(self.run.plan.length(index), seconds)
        self.run.done(index, result)

    def chunk(self, index: int, payload: bytes) -> None:
        if self.run is not None:
            self.run.chunk(index, payload)

    def lost(self, index: int) -> None:
        self.forget_progress(index)
        if self.run is not None:
            self.run.lost(index)

    def failed(self, index: int, error: errors.AntiphonError) -> None:
        if self.run is None:
            return
        if isinstance(error, errors.InvalidText) and self.served.traits.skips:
            self._warn_skipped(index, error)
            self.run.skip(index, error)
        else:
            self.run.failed(index, error)

    def _warn_skipped(self, index: int, error: errors.InvalidText) -> None:
        text = str(self.plan.unit(self.id, index).recipe.params.get("text", ""))[:WARNED_CHARS]
        warning = f"segment {index + 1}, {text!r}, was left out: {error.public}"
        if warning in self.warnings or len(self.warnings) > MAX_WARNINGS:
            return
        more = "more segments were left out" if len(self.warnings) == MAX_WARNINGS else warning
        self.warnings = (*self.warnings, more)

    async def _load_once(self) -> None:
        self.loading = self.loading or asyncio.Lock()
        async with self.loading:
            if self.run is None:
                assert self.load is not None
                await self.load(self)


def new_active_job(owner: str, served: ServedModel, plan: Plan, *, durable: bool, waiting: bool) -> ActiveJob:
    """A job that was just accepted, with an id of its own."""
    request = plan.request
    return ActiveJob(
        ids.new_id(), owner, request.priority, durable, waiting, time.time(), served, Units(len(plan.keys)),
        request.type, source=plan.source, deadline=request.deadline, warnings=plan.warnings,
    )  # fmt: skip
