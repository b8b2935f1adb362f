"""Job run: how it uses cache and workers when the cache is slow to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.cache import Cache, Entry, RemoteCache, SingleFlight
from antiphon.domain import errors
from antiphon.domain.unit import Recipe, SpeechParams, Unit
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


def run(storage: Slow, *, dear: Callable[[int], bool]) -> JobRun:
    cache = Cache(Path("unused"), 0, remote=RemoteCache(storage))
    plan: Any = Plan()
    callbacks = RunCallbacks(lambda *_: None, lambda _: None, lambda _: None, dear)
    flights: SingleFlight[Entry] = SingleFlight()
    return JobRun("job", plan, SharedResults(cache, flights), callbacks)


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
