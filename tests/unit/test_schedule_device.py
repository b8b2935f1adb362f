"""Models that share a device, simulated: slots, arrivals and seconds are made up, queues and device are the real ones."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.domain.job import Priority
from antiphon.schedule import device as devices
from antiphon.schedule.device import Device
from antiphon.schedule.fair_queue import FairQueue
from antiphon.schedule.queue_policy import Bid, FlowName
from antiphon.schedule.ticket import Ticket


@dataclass
class World:
    """One device and its models; `run` lets time pass."""

    now: float = 0.0
    ends: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    #: Seconds that each client was given, and the order of its units.
    had: dict[str, float] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.device = Device(clock=lambda: self.now, later=self.later)

    def later(self, seconds: float, look: Callable[[], None]) -> None:
        heapq.heappush(self.ends, (self.now + seconds, next(self.numbers), look))

    def model(self, slots: int = 1) -> Model:
        made = Model(self, slots)
        self.device.members.append(made)
        return made

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        self.device.pump()
        while self.ends and self.ends[0][0] <= until:
            self.now, _, happens = heapq.heappop(self.ends)
            happens()
            self.device.pump()
        self.now = until


class Model:
    def __init__(self, world: World, slots: int) -> None:
        self.world, self.slots, self.queue = world, slots, FairQueue()
        self.running: dict[int, tuple[Ticket, int, float, float, Bid]] = {}
        #: Whether its units are computed in the same steps: a unit then takes as many times longer as there are units.
        self.shared = False
        #: Seconds that a unit really takes; None: what is predicted.
        self.truth: float | None = None

    def add(self, client: str, units: int, seconds: float = 1.0, priority: Priority = "normal") -> Ticket:
        ticket = Ticket(f"{client}{id(object())}", client, priority, [seconds] * units, None, None)
        self.queue.push(ticket, self.world.now)
        return ticket

    @property
    def parallel(self) -> int:
        return 1 if self.shared else self.slots

    @property
    def unit_share(self) -> float:
        return self.parallel / self.slots

    def busy_since(self) -> list[tuple[float, float]]:
        crowd = len(self.running) if self.shared else 1
        return [(since, cost * crowd) for _, _, cost, since, _ in self.running.values()]

    def bid(self) -> Bid | None:
        if len(self.running) >= self.slots:
            return None
        return self.queue.head(self.world.now)

    @property
    def weight(self) -> float:
        return self.queue.weight

    def drain_seconds(self) -> float:
        return self.queue.backlog_seconds()

    def charge(self, flow: FlowName, seconds: float) -> None:
        self.queue.charge(flow, seconds)

    def start(self) -> float | None:
        bid = self.bid()
        assert bid is not None
        popped = self.queue.pop(self.world.now)
        assert popped is not None
        ticket, index, cost = popped
        serial = next(self.world.numbers)
        self.running[serial] = (ticket, index, cost, self.world.now, bid)
        took = (cost if self.truth is None else self.truth) * (len(self.running) if self.shared else 1)
        heapq.heappush(self.world.ends, (self.world.now + took, serial, partial(self.end, serial)))
        self.world.order.append(ticket.client)
        return cost

    def end(self, serial: int) -> None:
        ticket, index, cost, since, bid = self.running.pop(serial)
        took = cost if self.shared else self.world.now - since
        self.world.had[ticket.client] = self.world.had.get(ticket.client, 0.0) + took
        self.queue.settle(ticket, index, cost, took)
        self.world.device.settle(self, bid, took - cost)


def test_a_model_whose_units_are_computed_together_leaves_others_their_share() -> None:
    world = World()
    together, single = world.model(16), world.model()
    together.shared = True
    together.add("ann", 2000)
    single.add("bob", 2000)
    world.run(1000)
    # With a place for each unit, sixteen of hers would count as sixteen of his.
    assert world.had["bob"] == pytest.approx(world.had["ann"], rel=0.2)


def test_it_has_all_of_its_slots_while_it_is_alone() -> None:
    world = World()
    together, _ = world.model(16), world.model()
    together.shared = True
    together.add("ann", 100)
    world.device.pump()
    assert len(together.running) == 16
    world.run(40)
    assert len(together.running) == 16


def test_two_models_take_turns_by_seconds() -> None:
    world = World()
    short, long = world.model(), world.model()
    short.add("ann", 400, 0.5)
    long.add("bob", 100, 5.0)
    world.run(100)
    assert world.had["ann"] == pytest.approx(50, abs=5)
    assert world.had["bob"] == pytest.approx(50, abs=5)


def test_never_more_at_once_than_the_largest_model_has_slots() -> None:
    world = World()
    models = [world.model(2), world.model(1), world.model(1)]
    for model in models:
        model.add("ann", 50)
    world.run(5.5)
    assert sum(len(model.running) for model in models) == 2
    # Alone, a model uses all that it has.
    world.run(200)
    models[0].add("ann", 10)
    world.run(0.5)
    assert len(models[0].running) == 2


def test_a_flood_of_two_models_gets_no_more_than_one_who_asks_one_of_them() -> None:
    world = World()
    first, second = world.model(), world.model()
    first.add("flood", 500)
    second.add("flood", 500)
    second.add("quiet", 500)
    world.run(100)
    assert world.had["quiet"] == pytest.approx(50, abs=5)


def test_a_sentence_does_not_wait_for_a_book_on_another_model() -> None:
    world = World()
    book, note = world.model(), world.model()
    book.add("ann", 1000)
    world.run(50.5)
    ticket = note.add("bob", 1)
    world.run(2)
    assert ticket.left == 0
    assert world.had["bob"] == 1.0


def test_classes_weigh_across_models() -> None:
    world = World()
    first, second = world.model(), world.model()
    first.add("ann", 500, priority="vip")
    second.add("bob", 500, priority="normal")
    world.run(100)
    assert world.had["ann"] == pytest.approx(80, abs=5)


def test_who_was_moved_to_the_front_goes_before_other_models() -> None:
    world = World()
    first, second = world.model(), world.model()
    second.add("bob", 50)
    world.run(20.5)
    moved = second.add("bob", 3)
    first.add("ann", 50)
    second.queue.move_to_front(moved)
    world.order.clear()
    world.run(3)
    assert world.order == ["bob"] * 3


def test_what_took_longer_than_predicted_is_paid_for() -> None:
    world = World()
    honest, sly = world.model(), world.model()
    honest.add("ann", 500)
    sly.add("bob", 500)
    sly.truth = 3.0
    world.run(120)
    assert world.had["ann"] == pytest.approx(60, abs=6)


def test_a_unit_that_hangs_stops_no_other_model() -> None:
    world = World()
    hanging, other = world.model(), world.model()
    hanging.add("ann", 2)
    hanging.truth = 1e9
    world.run(1)
    waiting = other.add("bob", 3)
    world.run(devices.PATIENCE)
    assert waiting.left == 3
    # Before it is known to hang it holds the device.
    world.run(devices.OVERDUE + devices.LOOK + 2)
    assert waiting.left == 0


def test_newcomers_do_not_starve_who_waits() -> None:
    world = World()
    crowd, book = world.model(), world.model()
    book.add("ann", 1000)
    world.run(30)
    before = world.had["ann"]
    for number in range(100):
        crowd.add(f"new{number}", 1)
        world.run(1)
    # Those who wait become about √(2t), and she has the share of one among them.
    assert world.had["ann"] - before >= 8


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(["ann", "bob", "eve"]),
            st.integers(1, 8),
            st.floats(0.1, 5.0),
            st.floats(0, 10),
        ),
        max_size=25,
    ),
    st.lists(st.integers(1, 3), min_size=3, max_size=3),
)
def test_all_work_is_done_and_no_slot_idles(jobs: list[tuple[int, str, int, float, float]], slots: list[int]) -> None:
    world = World()
    models = [world.model(count) for count in slots]
    for number, client, units, seconds, pause in jobs:
        models[number].add(client, units, seconds)
        world.run(pause)
        running = sum(len(model.running) for model in models)
        assert running <= max(slots)
        wanting = any(model.queue.head(world.now) and len(model.running) < model.slots for model in models)
        assert running == max(slots) or not wanting
    world.run(10_000)
    assert sum(world.had.values()) == pytest.approx(sum(units * seconds for _, _, units, seconds, _ in jobs))
