"""Residency: models under one memory budget, with simulated tenants and a simulated clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.models import residency
from antiphon.models.residency import Residency

LOADING = 2.0


class World:
    def __init__(self, budget: int = 0, **keep_alive: float) -> None:
        self.now = 100.0
        self.room = Residency(budget, keep_alive, clock=lambda: self.now)
        self.models: list[Model] = []
        #: In the order in which they had done all their work.
        self.ended: list[str] = []

    async def add(self, name: str, footprint: int) -> Model:
        model = Model(self, name, footprint)
        self.models.append(model)
        await self.room.add(model)
        return model

    async def run(self, seconds: float, step: float = 0.5) -> None:
        until = self.now + seconds
        while self.now < until:
            await self.room.step()
            self.check()
            self.now += step
            for model in self.models:
                model.work(step)
        await self.room.step()
        self.check()

    def check(self) -> None:
        taken = sum(model.footprint for model in self.models if model.state != "out")
        assert not self.room.budget or taken <= self.room.budget, "over the budget"

    def inside(self) -> list[str]:
        return [model.name for model in self.models if model.state != "out"]


class Model:
    """Takes `LOADING` seconds to load, and does one second of its work per second, in units of `unit` seconds."""

    def __init__(self, world: World, name: str, footprint: int) -> None:
        self.world, self.name, self.footprint = world, name, footprint
        self.state, self.until, self.held = "out", 0.0, False
        self.seconds = 0.0
        self.loads = 0
        #: The footprint that is measured once it is loaded, if it is not known before.
        self.truth: int | None = None
        self.done = 0.0
        #: Seconds of a unit, and those that the running one still takes.
        self.unit, self.left = 1.0, 0.0

    def ask(self, seconds: float) -> None:
        self.seconds += seconds
        self.world.room.load(self.name)

    def work(self, step: float) -> None:
        if self.state == "loading" and self.world.now >= self.until:
            self.state = "in"
            self.footprint, self.truth = self.truth or self.footprint, None
        if self.state != "in":
            return
        if not self.left and not self.held:
            self.left = min(self.unit, self.seconds)
        did = min(step, self.left)
        self.left -= did
        self.seconds -= did
        self.done += did
        if did and not self.seconds:
            self.world.ended.append(self.name)

    @property
    def loading(self) -> bool:
        return self.state == "loading"

    @property
    def footprint_known(self) -> bool:
        return self.truth is None

    @property
    def running(self) -> int:
        return int(self.left > 0)

    @property
    def waiting(self) -> int:
        return int(self.seconds > 0)

    async def load(self) -> None:
        assert self.state == "out"
        self.state, self.until = "loading", self.world.now + LOADING
        self.loads += 1

    def hold(self, held: bool) -> None:
        self.held = held

    async def unload(self, grace: float) -> None:
        assert not self.running
        self.state = "out"


async def test_without_a_budget_all_stay() -> None:
    world = World()
    for name in "abc":
        await world.add(name, 1 << 40)
    await world.run(100)
    assert world.inside() == ["a", "b", "c"]


async def test_three_models_under_a_budget_that_holds_two_all_work() -> None:
    world = World(budget=20)
    models = [await world.add(name, 10) for name in "abc"]
    for model in models:
        model.ask(5)
    await world.run(60)
    assert [model.done for model in models] == [5, 5, 5]


async def test_the_longest_idle_makes_room() -> None:
    world = World(budget=20)
    a, b = await world.add("a", 10), await world.add("b", 10)
    await world.run(10)
    a.ask(1)
    await world.run(10)
    c = await world.add("c", 10)
    await world.run(10)
    assert world.inside() == ["a", "c"]
    b.ask(1)
    await world.run(10)
    assert world.inside() == ["b", "c"]
    assert (b.done, c.loads) == (1, 1)


async def test_busy_models_take_turns_and_spend_most_of_the_time_at_work() -> None:
    world = World(budget=10)
    models = [await world.add(name, 10) for name in "ab"]
    for model in models:
        model.ask(1000)
    await world.run(200)
    assert [model.done for model in models] == pytest.approx([85, 85], abs=15)
    assert sum(model.loads for model in models) < 200 / residency.TURN_SECONDS + 2


async def test_nobody_is_put_to_sleep_over_running_work() -> None:
    world = World(budget=10)
    a, b = await world.add("a", 10), await world.add("b", 10)
    await world.run(5)
    # `Model.unload` asserts that nothing runs.
    a.unit = 6.0
    a.ask(60)
    await world.run(residency.TURN_SECONDS + 1)
    b.ask(1)
    await world.run(80)
    assert (a.done, b.done) == (60, 1)


async def test_no_more_are_put_to_sleep_than_must_be() -> None:
    world = World(budget=20)
    a, b = await world.add("a", 10), await world.add("b", 10)
    await world.run(5)
    for model in (a, b):
        model.unit = 5.0
        model.ask(100)
    await world.run(residency.TURN_SECONDS + 1)
    c = await world.add("c", 10)
    c.ask(1)
    while not c.loads:
        await world.run(0.5)
        assert a.held + b.held < 2


async def test_what_can_never_fit_is_refused_and_stands_in_nobodys_way() -> None:
    world = World(budget=20)
    giant = await world.add("giant", 30)
    small = await world.add("small", 10)
    small.ask(1)
    await world.run(10)
    resident = world.room.residents["giant"]
    assert giant.loads == 0
    assert resident.refused is not None
    assert "30" not in world.inside()
    assert small.done == 1
    assert not world.room.is_unloaded("giant")


async def test_idle_models_leave_after_their_time() -> None:
    world = World(a=10.0)
    a, b = await world.add("a", 10), await world.add("b", 10)
    await world.run(9)
    assert world.inside() == ["a", "b"]
    await world.run(5)
    assert world.inside() == ["b"]
    assert world.room.is_unloaded("a")
    a.ask(1)
    await world.run(5)
    assert (a.done, b.loads) == (1, 1)


async def test_an_operator_puts_one_to_sleep_and_wakes_it() -> None:
    world = World()
    a = await world.add("a", 10)
    await world.run(5)
    world.room.unload("a")
    world.room.unload("a")
    await world.run(1)
    assert (a.state, a.held) == ("out", False)
    await world.run(50)
    assert a.state == "out"
    world.room.load("a")
    world.room.load("a")
    await world.run(5)
    assert (a.state, a.loads) == ("in", 2)
    world.room.load("unknown")


async def test_the_one_who_waits_longest_is_next_however_small_the_others_are() -> None:
    world = World(budget=20)
    holder = await world.add("holder", 10)
    await world.run(5)
    holder.ask(12)
    large, small = await world.add("large", 20), await world.add("small", 10)
    large.ask(1)
    await world.run(1)
    small.ask(1)
    await world.run(60)
    assert (holder.done, large.done, small.done) == (12, 1, 1)
    assert world.ended[1:] == ["large", "small"]


async def test_what_needs_more_than_was_thought_sends_others_away() -> None:
    world = World(budget=20)
    models = [Model(world, name, 1) for name in "abc"]
    for model in models:
        model.truth = 9
        world.models.append(model)
        await world.room.add(model)
    most = 0
    for _ in range(40):
        world.now += 0.5
        await world.room.step()
        for model in models:
            model.work(0.5)
        most = max(most, len(world.inside()))
    # One at a time, so that only the last of them was too much, and for a moment.
    assert [model.loads for model in models] == [1, 1, 1]
    assert (len(world.inside()), most) == (2, 3)
    world.check()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
    st.integers(8, 24),
    st.lists(st.tuples(st.integers(0, 4), st.floats(0.5, 30), st.floats(0, 20)), max_size=12),
)
def test_never_over_the_budget_and_all_that_can_be_done_is(
    needs: list[int], budget: int, asked: Sequence[tuple[int, float, float]]
) -> None:
    async def simulate() -> None:
        world = World(budget)
        models = [await world.add(str(n), footprint) for n, footprint in enumerate(needs)]
        for number, seconds, pause in asked:
            if number < len(models):
                models[number].ask(seconds)
            await world.run(pause)
        await world.run(60 + 3 * sum(seconds for _, seconds, _ in asked) + 20 * len(asked))
        for model in models:
            assert model.footprint > budget or model.seconds == 0

    asyncio.run(simulate())
