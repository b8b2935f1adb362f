"""A worker whose units are computed in the same steps: prices, waiting times and refusals go by seconds of its device."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities
from antiphon.domain.unit import OnChunk, Recipe, Unit, UnitResult
from antiphon.schedule.admission import Admission
from antiphon.schedule.cost import CostModel
from antiphon.schedule.dispatch import Dispatcher
from antiphon.schedule.fair_queue import FairQueue
from antiphon.schedule.ticket import Ticket

#: Seconds that a step with one unit more takes longer, as a part of one with one unit.
MORE = 0.1
#: Units that teach the cost model what a unit costs in company.
LEARNED = 256


@dataclass(eq=False)
class Steps:
    """One worker on a clock of its own. A unit alone takes a hundredth of its length in seconds."""

    slots: int
    now: float = 0.0
    reserved: int = 0
    #: What is left of each unit, in seconds alone, its share of the device so far, and its future.
    units: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def parallel(self) -> int:
        return Capabilities("speech", 24000, "1", slots=self.slots, sharing="one").parallel

    @property
    def free(self) -> int:
        return self.slots - self.reserved - len(self.units)

    def reserve(self) -> bool:
        free = self.free > 0
        self.reserved += free
        return free

    def unreserve(self) -> None:
        self.reserved -= 1

    async def run(self, unit: Unit, *, on_chunk: OnChunk | None = None) -> UnitResult:
        self.reserved -= 1
        future = asyncio.get_running_loop().create_future()
        self.units[unit.id] = [unit.length / 100, 0.0, future]
        await future
        return UnitResult(b"", {}, self.units.pop(unit.id)[1], "worker", shared=True)

    def cancel(self, unit_id: str) -> None: ...

    async def advance(self, seconds: float = 1e9) -> None:
        """Computes until a unit ends, or for so many seconds."""
        await settled()
        together = len(self.units)
        slower = 1 + MORE * (together - 1)
        took = min(seconds, min(left for left, _, _ in self.units.values()) * slower)
        self.now += took
        for unit in self.units.values():
            unit[0] -= took / slower
            unit[1] += took / together
            if unit[0] < 1e-9:
                unit[2].set_result(None)
        await settled()


class Job:
    """A source of units that are all alike."""

    def __init__(self, name: str, client: str, units: int, price: float) -> None:
        self.name, self.left, self.ended = name, units, False
        self.ticket = Ticket(name, client, costs=[price] * units, payload=self)

    async def unit(self, index: int) -> Unit | None:
        return Unit(self.name, index, Recipe("speech", "m", "1", {}), 100.0)

    def chunk(self, index: int, payload: bytes) -> None: ...

    def done(self, index: int, result: UnitResult) -> None:
        self.left -= 1
        self.ended = not self.left

    def lost(self, index: int) -> None: ...

    def failed(self, index: int, error: errors.AntiphonError) -> None: ...


async def settled() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


async def taught(slots: int) -> tuple[Steps, Dispatcher]:
    """A dispatcher that knows what a unit costs while all slots are taken."""
    steps = Steps(slots)
    dispatcher = Dispatcher("m", FairQueue(), steps, CostModel(), clock=lambda: steps.now)
    first = Job("first", "ann", LEARNED, 1.0)
    dispatcher.submit(first.ticket)
    while not first.ended:
        await steps.advance()
    return steps, dispatcher


@pytest.mark.parametrize("slots", [1, 8, 32])
async def test_a_unit_costs_its_share_of_the_device(slots: int) -> None:
    _, dispatcher = await taught(slots)
    alone = 1.0
    assert dispatcher.cost.predict(100) == pytest.approx((1 + MORE * (slots - 1)) / slots * alone, rel=0.1)


@pytest.mark.parametrize("slots", [1, 8, 32])
async def test_waiting_times_are_true(slots: int) -> None:
    steps, dispatcher = await taught(slots)
    price = dispatcher.cost.predict(100)
    jobs = [Job(f"{n}", f"client {n % 3}", 40, price) for n in range(9)]
    for job in jobs:
        dispatcher.submit(job.ticket)
    await steps.advance(price / 2)
    told = dict(zip(jobs, dispatcher.etas([job.ticket for job in jobs]), strict=True))
    begun, ends = steps.now, {}
    assert dispatcher.drain_seconds() == pytest.approx(9 * 40 * price, rel=0.1)
    while len(ends) < len(jobs):
        await steps.advance()
        ends |= {job: steps.now - begun for job in jobs if job.ended and job not in ends}
    for job in jobs:
        assert told[job] == pytest.approx(ends[job], rel=0.25)


@pytest.mark.parametrize("slots", [1, 32])
async def test_what_is_left_of_running_units_falls_as_the_device_works(slots: int) -> None:
    steps, dispatcher = await taught(slots)
    dispatcher.submit(Job("last", "ann", slots, dispatcher.cost.predict(100)).ticket)
    await steps.advance(0.0)
    whole = dispatcher.drain_seconds()
    await steps.advance(whole / 2)
    assert dispatcher.drain_seconds() == pytest.approx(whole / 2, rel=0.1)


@pytest.mark.parametrize("slots", [2, 32])
async def test_a_job_all_of_whose_units_are_computed_is_told_the_time_in_company(slots: int) -> None:
    steps, dispatcher = await taught(slots)
    job = Job("last", "ann", slots, dispatcher.cost.predict(100))
    dispatcher.submit(job.ticket)
    await steps.advance(0.2)
    _, told = dispatcher.place(job.ticket)
    begun = steps.now
    while not job.ended:
        await steps.advance()
    assert told == pytest.approx(steps.now - begun, rel=0.25)


@pytest.mark.parametrize("slots", [1, 32])
async def test_a_refusal_says_when_there_is_room(slots: int) -> None:
    steps, dispatcher = await taught(slots)
    price = dispatcher.cost.predict(100)
    admission = Admission(client_seconds=100 * price)
    jobs: list[Job] = []

    def take() -> None:
        admission.take("ann", 10 * price, 1, when=dispatcher.seconds_until)
        jobs.append(Job(f"{len(jobs)}", "ann", 10, price))
        dispatcher.submit(jobs[-1].ticket)

    for _ in range(10):
        take()
    await steps.advance(price / 2)
    with pytest.raises(errors.OverShare) as refused:
        take()
    begun = steps.now
    done = 0
    while len(jobs) == 10:
        await steps.advance()
        left = sum(job.left for job in jobs)
        admission.spend("ann", (100 - left - done) * price)
        done = 100 - left
        try:
            take()
        except errors.OverShare:
            continue
    assert refused.value.retry_after == pytest.approx(steps.now - begun, rel=0.25)


@pytest.mark.parametrize(("slots", "kept"), [(3, 0), (8, 1), (48, 3)])
async def test_durable_jobs_leave_slots_to_those_who_wait(slots: int, kept: int) -> None:
    steps = Steps(slots)
    dispatcher = Dispatcher("m", FairQueue(), steps, CostModel(), clock=lambda: steps.now)
    book = Job("book", "ann", 3 * slots, 1.0)
    dispatcher.submit(book.ticket)
    await settled()
    assert (dispatcher.running, steps.free) == (slots - kept, kept)
    request = Job("request", "bob", kept + 1, 1.0)
    request.ticket.waiting = True
    dispatcher.submit(request.ticket)
    await settled()
    assert (dispatcher.running, request.ticket.left) == (slots, 1)
    await steps.advance()
    # Units of the book have ended, and its next ones go after the one that somebody waits for.
    assert request.ticket.left == 0
    while not (book.ended and request.ended):
        await steps.advance()


async def test_they_are_kept_where_models_share_the_device_as_well() -> None:
    steps = Steps(8)
    first = Dispatcher("m", FairQueue(), steps, CostModel(), clock=lambda: steps.now)
    second = Dispatcher("n", FairQueue(), Steps(8), CostModel(), clock=lambda: steps.now)
    second.share(first.device)
    book, request = Job("book", "ann", 24, 1.0), Job("request", "bob", 1, 1.0)
    request.ticket.waiting = True
    first.submit(book.ticket)
    await settled()
    assert (first.running, first.bid()) == (7, None)
    first.submit(request.ticket)
    await settled()
    assert (first.running, request.ticket.left) == (8, 0)
    while not (book.ended and request.ended):
        await steps.advance()


async def test_a_durable_job_in_front_takes_the_kept_slots() -> None:
    steps = Steps(8)
    queue = FairQueue()
    dispatcher = Dispatcher("m", queue, steps, CostModel(), clock=lambda: steps.now)
    job = Job("job", "ann", 8, 1.0)
    queue.pause()
    dispatcher.submit(job.ticket)
    queue.move_to_front(job.ticket)
    queue.resume()
    dispatcher.pump()
    await settled()
    assert dispatcher.running == 8
    while not job.ended:
        await steps.advance()
