"""The dispatcher over an executor that is made up, with each queue policy."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from antiphon.domain import errors
from antiphon.domain.unit import OnChunk, Recipe, Unit, UnitResult
from antiphon.schedule.cost import CostModel
from antiphon.schedule.dispatch import MAX_DEATHS, REFERENCE_LENGTH, Dispatcher
from antiphon.schedule.queue_policy import QueuePolicy
from antiphon.schedule.ticket import Ticket
from tests.unit.test_schedule_contract import POLICIES


@dataclass
class Workers:
    """Slots that are freed by hand: `finish` ends the unit that has run longest."""

    slots: int = 2
    reserved: int = 0
    running: dict[str, asyncio.Future[UnitResult]] = field(default_factory=dict)
    #: By unit, what takes its parts.
    tell: dict[str, OnChunk | None] = field(default_factory=dict)
    most: int = 0
    cancelled: list[str] = field(default_factory=list)

    @property
    def parallel(self) -> int:
        return self.slots

    @property
    def free(self) -> int:
        return self.slots - self.reserved - len(self.running)

    def reserve(self) -> bool:
        free = self.free > 0
        self.reserved += free
        return free

    def unreserve(self) -> None:
        self.reserved -= 1

    async def run(self, unit: Unit, *, on_chunk: OnChunk | None = None) -> UnitResult:
        self.reserved -= 1
        future = self.running[unit.id] = asyncio.get_running_loop().create_future()
        self.most = max(self.most, len(self.running))
        self.tell[unit.id] = on_chunk
        return await future

    def cancel(self, unit_id: str) -> None:
        self.cancelled.append(unit_id)

    async def finish(self, error: errors.AntiphonError | None = None) -> None:
        future = self.running.pop(next(iter(self.running)))
        if error is None:
            future.set_result(UnitResult(b"", {}, 0.1, "worker-1"))
        else:
            future.set_exception(error)
        await settled()


class Job:
    """A source of units that keeps what it is told."""

    def __init__(self, name: str, units: int, client: str = "ann") -> None:
        self.name = name
        self.ticket = Ticket(name, client, costs=[1.0] * units, payload=self)
        self.told: Counter[tuple[str, int]] = Counter()
        self.parts: list[tuple[int, bytes]] = []
        self.errors: list[errors.AntiphonError] = []
        #: Units that are not needed when they are asked for.
        self.found: set[int] = set()

    async def unit(self, index: int) -> Unit | None:
        return None if index in self.found else Unit(self.name, index, Recipe("speech", "m", "1", {}), 60.0)

    def done(self, index: int, result: UnitResult) -> None:
        self.told["done", index] += 1

    def chunk(self, index: int, payload: bytes) -> None:
        self.parts.append((index, payload))

    def lost(self, index: int) -> None:
        self.told["lost", index] += 1

    def failed(self, index: int, error: errors.AntiphonError) -> None:
        self.told["failed", index] += 1
        self.errors.append(error)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture(params=POLICIES, ids=lambda policy: policy.__name__)
def make(request: pytest.FixtureRequest) -> Callable[..., Dispatcher]:
    queue: QueuePolicy = request.param()
    return lambda workers, **more: Dispatcher("m", queue, workers, CostModel(), **more)


async def test_every_unit_runs_once_and_never_more_than_there_are_slots(make: Callable[..., Dispatcher]) -> None:
    workers = Workers(slots=2)
    dispatcher, jobs = make(workers), [Job("a", 3), Job("b", 2, "bob")]
    jobs[0].found = {1}
    for job in jobs:
        dispatcher.submit(job.ticket)
    await settled()
    assert dispatcher.running == len(workers.running) == 2
    while workers.running:
        await workers.finish()
    assert workers.most == 2
    assert workers.free == 2
    assert [job.told for job in jobs] == [{("done", 0): 1, ("done", 2): 1}, {("done", 0): 1, ("done", 1): 1}]
    assert (len(dispatcher.queue), dispatcher.running, dispatcher.drain_seconds()) == (0, 0, 0.0)


async def test_parts_of_a_unit_reach_its_source(make: Callable[..., Dispatcher]) -> None:
    workers, job = Workers(slots=2), Job("a", 2)
    make(workers).submit(job.ticket)
    await settled()
    for unit, part in (("a:1", b"x"), ("a:0", b"y"), ("a:1", b"z")):
        tell = workers.tell[unit]
        assert tell is not None
        tell(part)
    assert job.parts == [(1, b"x"), (0, b"y"), (1, b"z")]
    while workers.running:
        await workers.finish()


async def test_a_unit_over_which_workers_die_is_tried_again_until_it_is_poison(make: Callable[..., Dispatcher]) -> None:
    workers, job = Workers(slots=1), Job("a", 1)
    dispatcher = make(workers)
    dispatcher.submit(job.ticket)
    await settled()
    await workers.finish(errors.Displaced("not its fault"))
    for _ in range(MAX_DEATHS):
        assert not job.errors
        await workers.finish(errors.WorkerDied("gone"))
    assert job.told == {("lost", 0): MAX_DEATHS, ("failed", 0): 1}
    assert isinstance(job.errors[0], errors.Poison)
    assert (workers.free, len(dispatcher.queue)) == (1, 0)


async def test_a_job_that_is_withdrawn_leaves_the_queue_and_its_units_are_cancelled(
    make: Callable[..., Dispatcher],
) -> None:
    workers, job = Workers(slots=2), Job("a", 5)
    dispatcher = make(workers)
    dispatcher.submit(job.ticket)
    await settled()
    running = list(workers.running)
    dispatcher.withdraw(job.ticket, keep=lambda unit: unit.id == running[0])
    assert workers.cancelled == running[1:]
    await workers.finish(errors.Cancelled())
    assert (len(dispatcher.queue), dispatcher.running) == (0, 1)


async def test_the_price_level_is_that_of_the_reference_length(make: Callable[..., Dispatcher]) -> None:
    now, repriced = [0.0], [0]
    workers, cost = Workers(slots=1), CostModel()

    def reprice() -> None:
        repriced[0] += 1

    dispatcher = make(workers, clock=lambda: now[0], on_price_level=reprice, reference_length=5.0)
    assert dispatcher.price_level == cost.predict(5.0) != cost.predict(REFERENCE_LENGTH)
    job = Job("a", 1)
    dispatcher.submit(job.ticket)
    await settled()
    now[0] += 100.0
    await workers.finish()
    assert repriced == [1]
    assert dispatcher.price_level == dispatcher.cost.predict(5.0) > cost.predict(5.0)
