"""P3 and P5: workers that die, hang, lie or leak, and what the others notice of it: nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from antiphon.domain import errors
from antiphon.domain.unit import Recipe, SpeechParams, Unit, UnitResult, Wish
from antiphon.worker import frames, supervisor
from antiphon.worker.limits import Recycling, WorkerLimits
from antiphon.worker.pool import Pool
from antiphon.worker.process import WorkerProcess
from tests.conftest import PATIENCE

ENGINES = "tests.faults.engines.broken"


def unit(text: str, index: int = 0) -> Unit:
    params = SpeechParams(text, "v", "en").as_params()
    return Unit("job", index, Recipe("speech", "m", "1", params), len(text))


class Changes:
    """Lets a test wait for a condition that a pool's `on_change` announces."""

    def __init__(self) -> None:
        self.happened = asyncio.Event()

    def __call__(self) -> None:
        self.happened.set()

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.happened.clear()
            try:
                # Some conditions (memory, processes) change without a word.
                await asyncio.wait_for(self.happened.wait(), 0.05)
            except TimeoutError:
                assert time.monotonic() < deadline, what


@asynccontextmanager
async def here() -> AsyncIterator[dict[str, Any]]:
    yield {}


#: What a pool is told so that its processes run there; tests/cluster runs all of this on other machines.
where: Callable[[], AbstractAsyncContextManager[dict[str, Any]]] = here


@asynccontextmanager
async def pool(
    engine: str,
    monkeypatch: pytest.MonkeyPatch,
    replicas: int = 1,
    ready: bool = True,
    options: Mapping[str, Any] = {},
    **more: Any,
) -> AsyncIterator[tuple[Pool, Changes]]:
    # -P keeps the current directory out of the worker's path, and the broken engines are not installed.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    changes = Changes()
    load = frames.Load(f"{ENGINES}:{engine}", dict(options))
    async with where() as place:
        made = Pool("broken", load, replicas, on_change=changes, **place, **more)
        await made.start()
        try:
            if ready:
                await changes.until(lambda: made.slots >= replicas, f"{replicas} workers are ready: {made.error}")
            yield made, changes
        finally:
            await made.stop(0.5)


async def run(made: Pool, changes: Changes, text: str, index: int = 0) -> UnitResult:
    await changes.until(lambda: made.free > 0, "a slot is free")
    assert made.reserve()
    return await made.run(unit(text, index))


async def test_what_there_is_of_a_live_unit_is_told_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "told at once"
    async with pool("BreaksOff", monkeypatch) as (made, changes):
        told: list[bytes] = []
        await changes.until(lambda: made.free > 0, "a slot is free")
        assert made.reserve()
        live = replace(unit(text), wish=Wish(live=True))
        running = asyncio.ensure_future(made.run(live, on_chunk=told.append))
        await changes.until(lambda: len(told) == len(text), "each sign is told")
        assert not running.done()
        made.cancel(live.id)
        with pytest.raises(errors.Cancelled):
            await running
    assert told == [ord(sign).to_bytes(2, "little") for sign in text]


@pytest.mark.parametrize("wish", [Wish(), Wish(live=True)])
async def test_parts_that_are_told_are_the_result(monkeypatch: pytest.MonkeyPatch, wish: Wish) -> None:
    async with pool("Fine", monkeypatch) as (made, changes):
        told: list[bytes] = []
        await changes.until(lambda: made.free > 0, "a slot is free")
        assert made.reserve()
        asked = replace(unit("ok, to be heard"), wish=wish)
        result = await made.run(asked, on_chunk=told.append)
        assert result.payload
        assert b"".join(told) == (result.payload if wish.live else b"")


async def test_a_unit_gives_its_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool("Fine", monkeypatch) as (made, changes):
        result = await run(made, changes, "ok, this is said")
        assert int.from_bytes(result.payload[:2], "little") == len("ok, this is said")
        assert result.meta["sample_rate"] == 8000
        assert result.worker == "broken-1"
        assert result.seconds >= 0
        assert made.state == "ready"
        assert made.capabilities is not None


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ("ExitsOnUnit", "exit code 7; it last said: goodbye"),
        ("Segfaults", "SIGSEGV"),
        ("WritesGarbage", "no frame"),
        ("LiesAboutLength", "over the bound"),
        ("CudaError", "device-side assert"),
    ],
)
async def test_a_death_is_noticed_at_once_and_the_worker_replaced(
    monkeypatch: pytest.MonkeyPatch, engine: str, says: str
) -> None:
    async with pool(engine, monkeypatch, replicas=2) as (made, changes):
        before = {worker.pid for worker in made.workers()}
        memory = psutil.Process().memory_info().rss
        neighbour = asyncio.ensure_future(run(made, changes, "ok, a neighbour"))
        began = time.monotonic()
        with pytest.raises(errors.WorkerDied, match=says):
            await run(made, changes, "bad")
        assert time.monotonic() - began < 5
        assert psutil.Process().memory_info().rss - memory < 16 * 1024 * 1024
        await neighbour
        await changes.until(lambda: made.slots == 2, "both are back")
        assert len(before - {worker.pid for worker in made.workers()}) == 1
        assert sum(worker.restarts for worker in made.workers()) == 1
        await run(made, changes, "ok again")


@pytest.mark.parametrize("engine", ["HoldsTheInterpreter", "StopsItself"])
async def test_a_worker_without_a_pulse_is_killed(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    async with pool(engine, monkeypatch, limits=WorkerLimits(heartbeat_timeout=2.0)) as (made, changes):
        began = time.monotonic()
        with pytest.raises(errors.WorkerDied, match="no heartbeat for 2 s"):
            await run(made, changes, "bad")
        assert time.monotonic() - began >= 0.9
        await run(made, changes, "ok again")


async def test_a_unit_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool("Spins", monkeypatch, limits=WorkerLimits(unit_timeout=1.0)) as (made, changes):
        with pytest.raises(errors.WorkerDied, match="longer than 1 s"):
            await run(made, changes, "bad")
        await run(made, changes, "ok again")


async def test_an_exception_fails_the_unit_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool("Raises", monkeypatch) as (made, changes):
        pid = made.workers()[0].pid
        with pytest.raises(errors.UnitFailed, match="ValueError: cannot say that"):
            await run(made, changes, "bad")
        await run(made, changes, "ok again")
        assert made.workers()[0].pid == pid


async def test_what_libraries_print_does_not_reach_the_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool("PrintsToStdout", monkeypatch) as (made, changes):
        result = await run(made, changes, "prints")
        assert len(result.payload) == 1600


async def test_cancel_by_flag_keeps_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool("WaitsForCancel", monkeypatch) as (made, changes):
        pid = made.workers()[0].pid
        task = asyncio.ensure_future(run(made, changes, "bad"))
        await changes.until(lambda: made.workers()[0].busy, "it runs")
        made.cancel("job:0")
        with pytest.raises(errors.Cancelled):
            await task
        await run(made, changes, "ok again")
        assert made.workers()[0].pid == pid


async def test_cancel_by_force_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool("Spins", monkeypatch, limits=WorkerLimits(cancel_grace=0.3)) as (made, changes):
        task = asyncio.ensure_future(run(made, changes, "bad"))
        await changes.until(lambda: made.workers()[0].busy, "it runs")
        made.cancel("job:0")
        with pytest.raises(errors.Cancelled):
            await task
        assert made.error is None
        await run(made, changes, "ok again")


async def test_a_neighbour_in_another_slot_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool("Spins", monkeypatch, limits=WorkerLimits(cancel_grace=0.2), options={"slots": 2}) as (
        made,
        changes,
    ):
        first = asyncio.ensure_future(run(made, changes, "bad", 0))
        second = asyncio.ensure_future(run(made, changes, "bad too", 1))
        await changes.until(lambda: len(made.workers()[0].busy) == 2, "both run")
        made.cancel("job:0")
        with pytest.raises(errors.Cancelled):
            await first
        with pytest.raises(errors.Displaced):
            await second


async def test_a_model_that_cannot_start_is_unavailable_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF_FIRST", 0.01)
    async with pool("DiesOnLoad", monkeypatch, ready=False) as (made, changes):
        await changes.until(lambda: made.state == "unavailable", f"it is given up; it is {made.state}")
        assert made.error is not None
        assert "weights.bin is missing" in made.error
        assert not made.reserve()


async def test_one_bad_start_is_forgiven(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF_FIRST", 0.01)
    async with pool("DiesOnceOnLoad", monkeypatch, options={"mark": str(tmp_path / "mark")}) as (made, changes):
        await run(made, changes, "ok")
        assert made.error is None


@pytest.mark.parametrize("recycling", [Recycling(units=3), Recycling(growth=25_000_000)], ids=["units", "growth"])
async def test_recycling_starts_the_spare_first_and_loses_no_slot(
    monkeypatch: pytest.MonkeyPatch, recycling: Recycling
) -> None:
    monkeypatch.setattr(supervisor, "LOOK", 0.05)
    async with pool("Leaks", monkeypatch, recycling=recycling) as (made, changes):
        first = made.workers()[0].pid
        least = made.slots

        def watch() -> bool:
            nonlocal least
            least = min(least, made.slots)
            return made.workers()[0].pid != first

        for n in range(4):
            await run(made, changes, f"ok {n}")
        await changes.until(watch, "the worker is replaced")
        assert least == 1
        assert made.workers()[0].restarts == 0
        assert made.workers()[0].recycled == 1
        await run(made, changes, "ok")


async def test_a_result_over_the_bound_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool("Fine", monkeypatch, limits=WorkerLimits(max_result=1)) as (made, changes):
        with pytest.raises(errors.WorkerDied, match="over 1 bytes"):
            await run(made, changes, "ok")


async def test_thirty_lives_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool("Fine", monkeypatch):
        pass
    me = psutil.Process()
    # Other tests of this process may have left the process that forks their servers.
    before, tasks, children = me.num_fds(), len(asyncio.all_tasks()), set(me.children())
    for _ in range(10):
        async with pool("Fine", monkeypatch, replicas=3):
            pass
    assert me.num_fds() <= before + 1
    assert len(asyncio.all_tasks()) == tasks
    assert set(me.children()) <= children


async def test_a_killed_worker_is_reaped(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool("Fine", monkeypatch) as (made, changes):
        pid = made.workers()[0].pid
        assert pid is not None
        os.kill(pid, 9)
        await changes.until(lambda: made.workers()[0].pid != pid and made.slots == 1, "it is replaced")
        assert not os.path.exists(f"/proc/{pid}")


async def test_a_machine_without_room_for_processes_is_said_and_not_hammered(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    def none_left(*args: object, **more: object) -> None:
        nonlocal tries
        tries += 1
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", none_left)
    async with pool("Fine", monkeypatch, ready=False) as (made, changes):
        await changes.until(lambda: made.error, "it is said")
        assert "could not be started: Resource temporarily unavailable" in (made.error or "")
        monkeypatch.undo()
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        await changes.until(lambda: made.slots == 1, "it is tried again")
    assert tries == 1


async def test_nobody_waits_for_the_end_of_a_worker_that_is_not_watched_any_more() -> None:
    """A test that runs out of time ends its event loop with all tasks; its own clean-up must not hang then."""
    worker = WorkerProcess("tone-1", frames.Load("antiphon.engines.tone:Tone", {}))
    await worker.start()
    process = psutil.Process(worker.pid)
    (watching,) = [task for task in asyncio.all_tasks() if task.get_name() == "worker tone-1"]
    watching.cancel()
    waiting = asyncio.create_task(worker.stop(0))
    done, _ = await asyncio.wait((waiting,), timeout=PATIENCE)
    assert done, "stop returns"
    assert (await worker.wait()).fault is False
    process.wait(PATIENCE)
