"""A worker whose engine computes its units in the same steps: what each of them gets, and who is blamed for an end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from antiphon.domain import errors
from antiphon.domain.unit import OnChunk, Recipe, SpeechParams, Unit, UnitResult, Wish
from antiphon.schedule.cost import CostModel
from antiphon.schedule.dispatch import MAX_DEATHS_ALONE, Dispatcher
from antiphon.schedule.fair_queue import FairQueue
from antiphon.schedule.ticket import Ticket
from antiphon.worker import supervisor
from antiphon.worker.limits import WorkerLimits
from antiphon.worker.pool import Pool
from tests.conftest import PATIENCE
from tests.faults.engines.batching import STEPS
from tests.faults.test_worker import Changes
from tests.faults.test_worker import pool as pool_of


def unit(text: str, index: int, wish: Wish = Wish()) -> Unit:  # noqa: B008 - it is frozen
    return Unit("job", index, Recipe("speech", "m", "1", SpeechParams(text, "v", "en").as_params()), len(text), wish)


@asynccontextmanager
async def batching(monkeypatch: pytest.MonkeyPatch, **more: Any) -> AsyncIterator[tuple[Pool, Changes]]:
    monkeypatch.setattr(supervisor, "BACKOFF_FIRST", 0.01)
    monkeypatch.setattr("tests.faults.test_worker.ENGINES", "tests.faults.engines.batching")
    async with pool_of("Batching", monkeypatch, **more) as made:
        yield made


async def run(made: Pool, text: str, index: int = 0, wish: Wish = Wish()) -> UnitResult:  # noqa: B008
    assert made.reserve()
    return await made.run(unit(text, index, wish))


async def test_sixty_four_units_are_computed_together_and_each_gets_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async with batching(monkeypatch) as (made, _):
        texts = ["long, so that all are there" if n == 0 else "x" * (n + 1) for n in range(64)]
        results = await asyncio.gather(*(run(made, text, n) for n, text in enumerate(texts)))
        for text, result in zip(texts, results, strict=True):
            steps = STEPS * (100 if text.startswith("long") else 1)
            assert result.payload == len(text).to_bytes(2, "little") * 100 * steps
            assert result.seconds > 0
            assert result.meta["sample_rate"] == 8000
        assert max(result.meta["most"] for result in results) > 32


async def test_steps_of_a_live_unit_are_told_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    async with batching(monkeypatch) as (made, changes):
        told: list[bytes] = []
        assert made.reserve()
        live = unit("long", 0, Wish(live=True))
        running = asyncio.ensure_future(made.run(live, on_chunk=told.append))
        beside = asyncio.ensure_future(run(made, "beside it", 1))
        await changes.until(lambda: told, "its first step is told")
        assert not running.done()
        result = await running
        assert b"".join(told) == result.payload
        assert len(told) == STEPS * 100
        assert (await beside).payload


async def test_how_far_each_unit_is_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, float]] = []

    def on_progress(unit: Unit, fraction: float) -> None:
        told.append((unit.index, fraction))

    async with batching(monkeypatch, on_progress=on_progress) as (made, _):
        await asyncio.gather(*(run(made, f"long {n}", n) for n in range(2)))
    for index in range(2):
        fractions = [fraction for number, fraction in told if number == index]
        assert fractions == sorted(fractions)
        # Every 0.2 s, and not after every step.
        assert 1 <= len(fractions) < STEPS * 100 / 4
        assert 0 < fractions[0] < 1


async def test_a_cancelled_unit_is_dropped_and_its_neighbours_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with batching(monkeypatch, options={"step": 0.01}) as (made, changes):
        tasks = [asyncio.ensure_future(run(made, f"long {n}", n)) for n in range(3)]
        await changes.until(lambda: len(made.workers()[0].busy) == 3, "all run")
        made.cancel("job:1")
        with pytest.raises(errors.Cancelled):
            await tasks[1]
        assert len((await tasks[0]).payload) == len((await tasks[2]).payload) == 200 * STEPS * 100
        assert made.workers()[0].restarts == 0


async def test_a_cancel_waits_for_the_end_of_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its neighbours would die with the worker, and be suspected."""
    limits = WorkerLimits(cancel_grace=0.1)
    async with batching(monkeypatch, options={"step": 0.5}, limits=limits) as (made, changes):
        tasks = [asyncio.ensure_future(run(made, f"unit {n}", n)) for n in range(2)]
        await changes.until(lambda: len(made.workers()[0].busy) == 2, "both run")
        made.cancel("job:1")
        with pytest.raises(errors.Cancelled):
            await tasks[1]
        assert (await tasks[0]).payload
        assert made.workers()[0].restarts == 0


async def test_a_unit_may_take_as_long_as_all_that_are_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with batching(monkeypatch, options={"step": 0.1}, limits=WorkerLimits(unit_timeout=0.2)) as (made, _):
        assert (await run(made, "it takes twice as long")).payload


async def test_a_slow_engine_says_how_long_its_steps_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    options, limits = {"step": 1.5, "step_seconds": 60.0}, WorkerLimits(step_timeout=0.5)
    async with batching(monkeypatch, options=options, limits=limits) as (made, _):
        assert (await run(made, "slow")).payload


@pytest.mark.parametrize(("text", "says"), [("refused", "cannot take that"), ("failed", "cannot say that")])
async def test_one_that_fails_by_itself_costs_no_other(monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    async with batching(monkeypatch) as (made, _):
        beside = asyncio.ensure_future(run(made, "long", 1))
        with pytest.raises(errors.UnitFailed, match=says):
            await run(made, text)
        assert (await beside).payload
        assert made.workers()[0].restarts == 0


@pytest.mark.parametrize(
    ("text", "says"), [("raises", "the step failed"), ("dies", "exit code 9"), ("hangs", "a step took longer than 1 s")]
)
async def test_after_a_failed_step_all_that_took_part_are_suspected(
    monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    async with batching(monkeypatch, limits=WorkerLimits(step_timeout=1.0)) as (made, changes):
        beside = [asyncio.ensure_future(run(made, "long", n)) for n in range(2)]
        await changes.until(lambda: len(made.workers()[0].busy) == 2, "they run")
        with pytest.raises(errors.Suspected, match=says):
            await run(made, text, 2)
        for task in beside:
            with pytest.raises(errors.Suspected):
                await task
        await changes.until(lambda: made.free > 0, "the worker is back")
        # By itself it is to blame.
        with pytest.raises(errors.WorkerDied, match=says) as died:
            await run(made, text, 2, Wish(alone=True))
        assert not isinstance(died.value, errors.Displaced)


async def test_one_that_is_to_be_alone_waits_for_the_others_and_they_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with batching(monkeypatch, options={"step": 0.005}) as (made, changes):
        before = asyncio.ensure_future(run(made, "long", 0))
        await changes.until(lambda: len(made.workers()[0].busy) == 1, "it runs")
        alone = asyncio.ensure_future(run(made, "alone", 1, Wish(alone=True)))
        await changes.until(lambda: len(made.workers()[0].busy) == 2, "it is given")
        assert made.free == 0
        # Had it been admitted beside the other, the engine would have refused it.
        assert (await alone).payload
        assert before.done()
        assert made.free == made.slots


class Source:
    """Eight units of one job, one of which ends every worker."""

    def __init__(self) -> None:
        self.texts = [f"the innocent number {n}" for n in range(7)]
        self.texts.insert(3, "raises")
        self.runs: list[tuple[int, bool]] = []
        self.ends: dict[int, errors.AntiphonError | UnitResult] = {}
        self.all = asyncio.Event()

    async def unit(self, index: int) -> Unit:
        return unit(self.texts[index], index)

    def done(self, index: int, result: UnitResult) -> None:
        self._end(index, result)

    def failed(self, index: int, error: errors.AntiphonError) -> None:
        self._end(index, error)

    def chunk(self, index: int, payload: bytes) -> None: ...

    def lost(self, index: int) -> None:
        return

    def _end(self, index: int, end: errors.AntiphonError | UnitResult) -> None:
        self.ends[index] = end
        if len(self.ends) == len(self.texts):
            self.all.set()


class Counted:
    """A pool that counts what it has run, and not what came when its worker was gone."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.runs: Counter[tuple[int, bool]] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pool, name)

    async def run(self, unit: Unit, *, on_chunk: OnChunk | None = None) -> UnitResult:
        try:
            result = await self.pool.run(unit, on_chunk=on_chunk)
        except errors.WorkerDied as e:
            self.runs[(unit.index, unit.wish.alone)] += not isinstance(e, errors.Displaced)
            raise
        self.runs[(unit.index, unit.wish.alone)] += 1
        return result


async def test_poison_among_eight_is_found_in_nine_runs_alone_and_seven_succeed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with batching(monkeypatch, options={"slots": 8, "step": 0.02}) as (made, changes):
        counted, source = Counted(made), Source()
        dispatcher = Dispatcher("m", FairQueue(), counted, CostModel())
        announce = changes.happened.set
        monkeypatch.setattr(made, "_on_change", lambda: (announce(), dispatcher.pump()))
        dispatcher.submit(Ticket("job", "ann", "normal", [1.0] * 8, payload=source))
        async with asyncio.timeout(PATIENCE):
            await source.all.wait()
        poisoned = source.ends.pop(3)
        assert isinstance(poisoned, errors.Poison)
        assert all(isinstance(end, UnitResult) for end in source.ends.values())
        assert sum(times for (_, alone), times in counted.runs.items() if alone) <= 9
        assert counted.runs[(3, True)] == MAX_DEATHS_ALONE
