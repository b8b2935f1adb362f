"""P3 and P4: workers that die and hang while others work, and a unit that kills every worker it meets."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.http import Connection, percentile
from benchmarks.reliability.server import Row, Server, ended, get, server, submit, tts

#: Seconds a unit of these servers takes.
UNIT = 0.1


@asynccontextmanager
async def others(port: int, every: float, word: str) -> AsyncIterator[list[float]]:
    """Other clients, each with a new short request every so often; what they waited."""
    waited: list[float] = []
    stop = asyncio.Event()

    async def one(number: int) -> None:
        connection = Connection(port, f"127.0.0.{number}")
        turn = 0
        while not stop.is_set():
            answer = await connection.request(
                "POST", "/tts", tts(f"Client {number}, {word}, asks for the {turn}th time.")
            )
            if answer.status != 200:
                raise RuntimeError(f"a bystander was answered {answer.status}: {answer.body[:200]!r}")
            waited.append(answer.seconds)
            turn += 1
            await asyncio.sleep(every)
        connection.close()

    tasks = [asyncio.create_task(one(number)) for number in (2, 3)]
    try:
        yield waited
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def workers(connection: Connection) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await get(connection, "/v1/workers"))["data"]
    return found


async def until(what: Callable[[list[dict[str, Any]]], Any], connection: Connection, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what(await workers(connection)):
            return found
        await asyncio.sleep(0.01)
    raise RuntimeError("the workers did not come to the state that was waited for")


def _serving(found: list[dict[str, Any]], pid: int) -> bool:
    return any(w["pid"] == pid and w["state"] == "ready" for w in found)


def _steady(found: list[dict[str, Any]]) -> list[int]:
    """Workers whose death counts as an accident: who dies again and again is restarted ever later, as it should be."""
    return [w["pid"] for w in found if w["state"] == "ready" and time.time() - w["started_at"] > 5.5]


async def _noticed(target: Server, kind: int, times: int, rnd: random.Random) -> tuple[list[float], int]:
    """How long it took each time until the worker was replaced, and how many of the jobs meanwhile failed."""
    connection = Connection(target.port)
    jobs = [await submit(connection, f"Job {n} of many, while workers come and go.") for n in range(40)]
    took = []
    for _ in range(times):
        # Longer than a unit takes, or the same one would be hit until it counts as poison.
        await asyncio.sleep(rnd.uniform(2 * UNIT, 5 * UNIT))
        pids = await until(_steady, connection)
        victim = rnd.choice(pids)
        os.kill(victim, kind)
        began = time.monotonic()
        await until(lambda found, gone=victim: not _serving(found, gone), connection)  # type: ignore[misc]
        took.append(time.monotonic() - began)
    statuses = [(await ended(connection, job["id"]))["status"] for job in jobs if job is not None]
    connection.close()
    return took, sum(status != "succeeded" for status in statuses)


def faults(seed: int, scale: float) -> list[Row]:
    """Workers killed and stopped at seeded moments; every job still ends well."""
    rnd = random.Random(seed)
    rows = []
    args = ("--model", "tone", "--workers", "4")
    with server(*args, tone_delay=str(UNIT)) as target:
        before = target.rss
        took, failed = asyncio.run(_noticed(target, signal.SIGKILL, round(50 * scale), rnd))
        grown = (target.rss - before) / 2**20
    rows.append(
        Row(
            "P3",
            f"{len(took)} workers killed (SIGKILL) under 40 jobs",
            f"noticed in {statistics.median(took) * 1000:.0f} ms (at most {max(took) * 1000:.0f}); "
            f"{failed} jobs failed; memory of the server {grown:+.1f} MiB",
            max(took) <= 1 and failed == 0,
        )
    )
    with server(*args, tone_delay=str(UNIT)) as target:
        took, failed = asyncio.run(_noticed(target, signal.SIGSTOP, max(1, round(5 * scale)), rnd))
    rows.append(
        Row(
            "P3",
            f"{len(took)} workers stopped (SIGSTOP) under 40 jobs",
            f"killed {max(took):.1f} s after the stop at most; {failed} jobs failed",
            max(took) <= 15 and failed == 0,
        )
    )
    return rows


async def _poisoned(port: int, rounds: int) -> list[dict[str, Any]]:
    """Each round a job whose unit takes every worker down that it meets."""
    connection = Connection(port)
    results = []
    for n in range(rounds):
        # It takes a second where the bystanders' take a tenth: who is at it for longer is at this one.
        job = await submit(connection, f"Poison {n}. " + "x" * 200)
        assert job is not None
        since: dict[int, float] = {}
        while (state := await get(connection, f"/v1/jobs/{job['id']}"))["status"] in ("queued", "running"):
            busy = {w["pid"] for w in await workers(connection) if w["busy"]}
            since = {pid: since.get(pid, time.monotonic()) for pid in busy}
            for pid, first in since.items():
                if time.monotonic() - first > 4 * UNIT:
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.02)
        results.append(state)
    connection.close()
    return results


def poison(seed: int, scale: float) -> list[Row]:
    """What bystanders wait while one client's units kill worker after worker, against the same without it."""
    rounds = max(2, round(10 * scale))

    async def measure(port: int) -> tuple[list[float], list[float], list[dict[str, Any]]]:
        async with others(port, 0.3, "alone") as quiet:
            while len(quiet) < 20 * rounds * scale + 20:
                await asyncio.sleep(0.1)
        async with others(port, 0.3, "beside") as beside:
            jobs = await _poisoned(port, rounds)
        return quiet, beside, jobs

    args = ("--model", "tone", "--workers", "3")
    with server(*args, tone_delay=str(UNIT), tone_delay_per_char="0.004") as target:
        quiet, beside, jobs = asyncio.run(measure(target.port))
    codes = [json.dumps((job["error"] or {}).get("code")) for job in jobs]
    a, b = percentile(quiet, 95), percentile(beside, 95)
    return [
        Row(
            "P4",
            f"{rounds} jobs that kill three workers each, of three, beside two clients with short requests",
            f"{codes.count(json.dumps('poison'))} of {rounds} end with `poison`; bystanders' p95 {a * 1000:.0f} ms "
            f"without, {b * 1000:.0f} ms beside it ({b / a:.1f}×)",
            codes.count(json.dumps("poison")) == rounds and b <= 2 * a,
        )
    ]
