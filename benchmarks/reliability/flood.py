"""P11 and P18: ten times more than fits, for minutes, beside clients that ask for little."""

from __future__ import annotations

import asyncio
import time

from benchmarks.http import Connection, percentile
from benchmarks.reliability.server import Row, Server, ended, server, submit, tts

UNIT, WORKERS = 0.05, 2


async def _flood(target: Server, seconds: float) -> tuple[list[str], list[float], int, list[str]]:
    """Accepted ids, seconds of each refusal, refusals without Retry-After, and what else was answered."""
    stop = time.monotonic() + seconds
    accepted: list[str] = []
    refused: list[float] = []
    bare = 0
    odd: list[str] = []

    async def one(number: int) -> None:
        nonlocal bare
        connection = Connection(target.port)
        n = 0
        # Ten times capacity, shared among the flooding connections.
        pause = 20 * UNIT / (10 * WORKERS)
        due = time.monotonic()
        while time.monotonic() < stop:
            n += 1
            body = b'{"input": "Wave %d of connection %d."}' % (n, number)
            answer = await connection.request("POST", "/v1/jobs", body)
            if answer.status == 202:
                accepted.append(answer.body[7:33].decode())
            elif answer.status in (429, 503):
                refused.append(answer.seconds)
                bare += not answer.headers.get("retry-after")
            else:
                odd.append(f"{answer.status}")
            due = max(due + pause, time.monotonic() - 1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        connection.close()

    await asyncio.gather(*(one(number) for number in range(20)))
    return accepted, refused, bare, odd


async def _quiet(port: int, number: int, until: float) -> list[float]:
    """A client with one short request at a time."""
    connection = Connection(port, f"127.0.0.{number}")
    waited: list[float] = []
    while time.monotonic() < until:
        answer = await connection.request("POST", "/tts", tts(f"Quiet {number} for the {len(waited)}th time."))
        if answer.status == 200:
            waited.append(answer.seconds)
        await asyncio.sleep(0.2)
    connection.close()
    return waited


async def _alive(port: int, until: float) -> tuple[int, list[float]]:
    connection = Connection(port)
    bad, took = 0, []
    while time.monotonic() < until:
        answer = await connection.request("GET", "/livez")
        bad += answer.status != 200
        took.append(answer.seconds)
        await asyncio.sleep(0.05)
    connection.close()
    return bad, took


def flood(seed: int, scale: float) -> list[Row]:
    """One client floods with ten times what two workers can do, for ten minutes."""
    seconds = 600 * scale
    # The cache in memory fills to its own bound whatever comes; here it is small, so that the flood's share is seen.
    args = ("--model", "tone", "--workers", str(WORKERS), "--max-client-seconds", "10", "--cache-memory", "8388608")
    with server(*args, tone_delay=str(UNIT)) as target:

        async def run() -> tuple[
            tuple[list[str], list[float], int, list[str]], list[list[float]], tuple[int, list[float]]
        ]:
            until = time.monotonic() + seconds
            flooding = asyncio.create_task(_flood(target, seconds))
            quiet = [asyncio.create_task(_quiet(target.port, n, until)) for n in (2, 3)]
            alive = asyncio.create_task(_alive(target.port, until))
            return await flooding, [await task for task in quiet], await alive

        async def rest(ids: list[str]) -> int:
            connection = Connection(target.port)
            good = 0
            for job_id in ids:
                good += (await ended(connection, job_id))["status"] == "succeeded"
            connection.close()
            return good

        async def learn() -> None:
            connection = Connection(target.port)
            for n in range(30):
                await submit(connection, f"Learn what I {'really ' * (n % 3)}cost, {n}.")
            connection.close()

        asyncio.run(learn())
        before = target.rss
        began = time.monotonic()
        (accepted, refused, bare, odd), quiet, (bad, livez) = asyncio.run(run())
        good = asyncio.run(rest(accepted))
        took = time.monotonic() - began
        grown = (target.rss - before) / 2**20
    served = sum(map(len, quiet))
    goodput = (good + served) * UNIT / (took * WORKERS)
    waits = [w for one in quiet for w in one]
    return [
        Row(
            "P11",
            f"flood of 10× for {seconds:.0f} s: {len(accepted)} accepted, {len(refused)} refused",
            f"{len(accepted) - good} lost, {len(odd)} other answers; refusals p99 {percentile(refused, 99) * 1000:.0f} "
            f"ms, {bare} without Retry-After; memory {grown:+.1f} MiB; goodput {goodput:.0%} of the workers' time; "
            f"two quiet clients: {served} requests, p95 {percentile(waits, 95) * 1000:.0f} ms for units of "
            f"{UNIT * 1000:.0f} ms",
            good == len(accepted) and not bare and not odd and grown <= 100 and goodput >= 0.8,
        ),
        Row(
            "P18",
            "the same flood",
            f"/livez asked {len(livez)} times, {bad} not 200; p99 {percentile(livez, 99) * 1000:.0f} ms",
            bad == 0,
        ),
    ]
