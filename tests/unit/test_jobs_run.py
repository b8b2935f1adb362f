"""Job run: how it uses cache and workers when the cache is slow to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.cache import Cache, Entry, RemoteCache, SingleFlight
from antiphon.domain import errors
from antiphon.domain.unit import Recipe, SpeechParams, Unit, UnitResult
from antiphon.jobs.run import JobRun, RunCallbacks, SharedResults

KEYS = [Recipe("speech", "tone", "1", SpeechParams(f"Text {n}", "tone", "en").as_params()).key() for n in range(4)]


class Plan:
    keys = KEYS

    def unit(self, job: str, index: int) -> Unit:
        return Unit(
            job, index, Recipe("speech", "tone", "1", SpeechParams(f"Text {index}", "tone", "en").as_params()), 6
        )

    def length(self, index: int) -> float:
        return 6.0


class Slow:
    """Storage that answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let = asyncio.Event()

    async def get(self, key: str) -> bytes | None:
        self.asked.append(key)
        await self.let.wait()
        return None

    async def put(self, key: str, data: bytes) -> None: ...

    async def remove(self, key: str) -> None: ...


def run(storage: Slow, *, dear: Callable[[int], bool], live: bool = False) -> JobRun:
    cache = Cache(Path("unused"), 0, remote=RemoteCache(storage))
    plan: Any = Plan()
    callbacks = RunCallbacks(lambda *_: None, lambda _: None, lambda _: None, dear)
    flights: SingleFlight[Entry] = SingleFlight()
    return JobRun("job", plan, SharedResults(cache, flights), callbacks, live=live)


async def test_a_unit_of_a_job_that_ended_during_a_look_is_not_run() -> None:
    storage = Slow()
    job_run = run(storage, dear=lambda index: True)
    due = asyncio.create_task(job_run.unit(0))
    while not storage.asked:
        await asyncio.sleep(0)
    job_run.stop(errors.Cancelled())
    storage.let.set()
    assert await due is None


@pytest.mark.parametrize(("dear", "asked"), [(True, KEYS), (False, [])])
async def test_what_is_dear_is_looked_for_ahead_and_what_is_cheap_is_made(dear: bool, asked: list[str]) -> None:
    storage = Slow()
    storage.let.set()
    job_run = run(storage, dear=lambda index: dear)
    unit = await job_run.unit(0)
    assert unit is not None
    assert unit.index == 0
    assert storage.asked == asked


# Units in which the model has nothing to say


async def read(job_run: JobRun) -> list[bytes]:
    return [entry.payload async for entry in job_run.entries()]


def result(index: int) -> UnitResult:
    return UnitResult(bytes([index + 1]) * 2, {"sample_rate": 24000}, 0.001, "w")


@pytest.mark.parametrize("skipped", [set(), {0}, {1}, {3}, {0, 1}, {0, 2}, {0, 1, 2}, {1, 2, 3}])
async def test_the_others_are_heard_in_order(skipped: set[int]) -> None:
    job_run = run(Slow(), dear=lambda index: False)
    for index in reversed(range(len(KEYS))):
        if index in skipped:
            job_run.skip(index)
        else:
            job_run.done(index, result(index))
    assert await read(job_run) == [b"" if index in skipped else result(index).payload for index in range(len(KEYS))]
    assert job_run.done_units == len(KEYS)
    assert job_run.missing() == [*range(len(KEYS))]
    assert not any(job_run.shared.cache.contains(KEYS[index]) for index in skipped)


async def test_an_answer_does_not_begin_before_its_first_sound() -> None:
    job_run = run(Slow(), dear=lambda index: False)
    first = asyncio.ensure_future(anext(aiter(job_run.entries())))
    for index in (0, 1):
        job_run.skip(index)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not first.done()
    job_run.done(2, result(2))
    assert (await first).payload == b""


async def test_a_text_of_nothing_else_is_an_error_before_any_part_of_the_answer() -> None:
    job_run = run(Slow(), dear=lambda index: False)
    first = asyncio.ensure_future(anext(aiter(job_run.entries())))
    for index in range(len(KEYS)):
        job_run.skip(index)
    with pytest.raises(errors.NothingToSay):
        await first


# Somebody listens


async def hear(job_run: JobRun, into: list[tuple[int, bytes, bool]]) -> None:
    async for part in job_run.parts():
        into += [(part.index, part.payload, part.last)]


def listened() -> tuple[JobRun, list[tuple[int, bytes, bool]], asyncio.Task[None]]:
    """A run, what its listener has heard of it so far, and the listening."""
    job_run, heard = run(Slow(), dear=lambda index: False, live=True), list[tuple[int, bytes, bool]]()
    return job_run, heard, asyncio.create_task(hear(job_run, heard))


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def four(sound: bytes) -> UnitResult:
    return UnitResult(sound, {"sample_rate": 24000}, 0.001, "w")


async def test_only_the_unit_that_is_heard_next_is_live() -> None:
    job_run = run(Slow(), dear=lambda index: False, live=True)

    async def live(index: int) -> bool:
        unit = await job_run.unit(index)
        assert unit is not None
        return unit.wish.live

    assert [await live(0), await live(1)] == [True, False]
    job_run.done(0, result(0))
    job_run.skip(1)
    assert [await live(2), await live(3)] == [True, False]
    calm = await run(Slow(), dear=lambda index: False).unit(0)
    assert calm is not None
    assert not calm.wish.live


async def test_a_listener_gets_what_there_is_of_a_unit_and_the_rest_at_its_end() -> None:
    job_run, heard, hearing = listened()
    await settled()
    job_run.chunk(0, b"ab")
    job_run.chunk(0, b"cd")
    await settled()
    assert heard == [(0, b"ab", False), (0, b"cd", False)]
    job_run.done(0, four(b"abcdef"))
    await settled()
    assert heard[2:] == [(0, b"ef", True)]
    job_run.chunk(1, b"gh")
    await settled()
    # All of it was told: its end has nothing more to say.
    job_run.done(1, four(b"gh"))
    # Parts that nobody has heard are not kept beside the whole.
    job_run.chunk(2, b"ij")
    job_run.done(2, four(b"ijkl"))
    job_run.done(3, four(b"mn"))
    await hearing
    assert heard[3:] == [(1, b"gh", False), (1, b"", True), (2, b"ijkl", True), (3, b"mn", True)]
    assert [job_run.shared.cache.get_in_memory(key) is not None for key in KEYS] == [True] * 4


async def test_a_second_try_does_not_say_again_what_was_heard() -> None:
    job_run, heard, hearing = listened()
    await settled()
    job_run.chunk(0, b"abc")
    await settled()
    job_run.chunk(0, b"d")
    job_run.lost(0)
    for sign in (b"a", b"bc", b"", b"de"):
        job_run.chunk(0, sign)
    await settled()
    job_run.lost(0)
    job_run.chunk(0, b"abcdef")
    await settled()
    job_run.done(0, four(b"abcdefg"))
    for index in (1, 2, 3):
        job_run.skip(index)
    await hearing
    assert b"".join(sound for _, sound, _ in heard) == b"abcdefg"
    assert [index for index, _, last in heard if last] == [0, 1, 2, 3]


async def test_a_second_try_that_says_less_ends_the_unit() -> None:
    job_run, heard, hearing = listened()
    await settled()
    job_run.chunk(0, b"abc")
    await settled()
    job_run.lost(0)
    job_run.done(0, four(b"ab"))
    job_run.stop(errors.Cancelled())
    with pytest.raises(errors.Cancelled):
        await hearing
    assert heard == [(0, b"abc", False), (0, b"", True)]


@pytest.mark.parametrize("skipped", [set(), {0}, {1}, {3}, {0, 1}, {0, 2}, {0, 1, 2}, {1, 2, 3}])
async def test_a_listener_hears_the_others_in_order(skipped: set[int]) -> None:
    job_run = run(Slow(), dear=lambda index: False, live=True)
    for index in reversed(range(len(KEYS))):
        if index in skipped:
            job_run.skip(index)
        else:
            job_run.done(index, result(index))
    heard: list[tuple[int, bytes, bool]] = []
    await hear(job_run, heard)
    assert heard == [(n, b"" if n in skipped else result(n).payload, True) for n in range(len(KEYS))]


async def test_a_listener_of_nothing_gets_an_error_before_any_part() -> None:
    job_run, heard, hearing = listened()
    for index in range(len(KEYS)):
        await settled()
        job_run.skip(index)
    with pytest.raises(errors.NothingToSay):
        await hearing
    assert heard == []


async def test_a_run_that_waited_for_a_skipped_unit_asks_the_model_itself() -> None:
    requeued: list[int] = []
    first = run(Slow(), dear=lambda index: False)
    other = JobRun("other", Plan(), first.shared, RunCallbacks(lambda *_: None, lambda _: None, requeued.append))  # type: ignore[arg-type]
    assert await first.unit(0) is not None
    assert await other.unit(0) is None
    first.skip(0)
    await asyncio.sleep(0)
    assert requeued == [0]


async def test_a_reader_of_what_is_in_memory_leaves_turns_to_others() -> None:
    """A stream of 50,000 cached segments whose client had gone was read to its end before anything else ran."""
    plan: Any = Plan()
    plan.keys = [KEYS[0]] * 1000
    cache = Cache(Path("unused"), 0)
    cache.remember(KEYS[0], b"\x01\x01", {"sample_rate": 24000})
    shared = SharedResults(cache, SingleFlight())
    reading = asyncio.create_task(read(JobRun("job", plan, shared, RunCallbacks(*[lambda *_: None] * 3))))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(reading.result()) == 1000
    assert turns > 1000 / 50


def in_space(space: str, shared: SharedResults) -> JobRun:
    plan: Any = Plan()
    return JobRun("job", plan, shared, RunCallbacks(lambda *_: None, lambda _: None, lambda _: None), space=space)


async def test_runs_of_different_spaces_share_neither_results_nor_running_work() -> None:
    """P29: of what another owner had computed, or has computed now, a run cannot tell anything."""
    shared = SharedResults(Cache(Path("unused"), 0), SingleFlight())
    anna = in_space("anna", shared)
    assert await anna.unit(0) is not None
    for other in ("ben", ""):
        assert await in_space(other, shared).unit(0) is not None, "it waits for another owner's"
    assert await in_space("anna", shared).unit(0) is None, "it does not wait for its own"
    anna.done(0, UnitResult(b"sound", {}, 1.0, "worker"))
    assert 0 not in in_space("anna", shared).missing()
    for other in ("ben", "", "ann"):
        assert 0 in in_space(other, shared).missing()
    assert anna.cache_key("x") != "x"
    assert in_space("", shared).cache_key("x") == "x", "entries of a server without keys stay what they were"
