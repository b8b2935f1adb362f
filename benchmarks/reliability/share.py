"""Fair shares and deep queues: one that asks for little beside one that asks for much, and 100,000 jobs in line."""

from __future__ import annotations

import asyncio
import json
import random
import time

from benchmarks.http import Connection, load, percentile
from benchmarks.reliability.server import Row, Server, get, server, submit, tts

UNIT = 0.1


def share(seed: int, scale: float) -> list[Row]:
    """A client with one short request at a time, on an idle server and beside a client that sent 1,000 jobs."""
    jobs, each = round(1000 * scale), max(20, round(100 * scale))
    rnd = random.Random(seed)

    async def ask(port: int, word: str) -> list[float]:
        connection = Connection(port, "127.0.0.2")
        waited = []
        for n in range(each):
            answer = await connection.request("POST", "/tts", tts(f"The {word} request has number {n}."))
            if answer.status != 200:
                raise RuntimeError(f"answered {answer.status}")
            waited.append(answer.seconds)
            await asyncio.sleep(rnd.uniform(0.0, 0.1))
        connection.close()
        return waited

    async def greedy(port: int) -> None:
        connection = Connection(port)
        for n in range(jobs):
            await submit(connection, f"Job {n} of one that wants {'much ' * (n % 7)}more. It has two sentences.")
        connection.close()

    async def run(port: int) -> tuple[list[float], list[float], int]:
        idle = await ask(port, "idle")
        await greedy(port)
        beside = await ask(port, "modest")
        connection = Connection(port)
        left = (await get(connection, "/health"))["queued"]
        connection.close()
        return idle, beside, left

    with server("--model", "tone", "--workers", "2", tone_delay=str(UNIT)) as target:
        idle, beside, left = asyncio.run(run(target.port))
    a, b = percentile(idle, 95), percentile(beside, 95)
    return [
        Row(
            "share",
            f"one client sends {jobs} jobs, another one request at a time ({each} of them; {left} jobs still queued)",
            f"p95 idle {a * 1000:.0f} ms, beside them {b * 1000:.0f} ms ({b / a:.2f}×)",
            b <= 2 * a and left > 0,
        )
    ]


def depth(seed: int, scale: float) -> list[Row]:
    """The whole server's memory for each queued job, and how fast it works through a short and a long line."""
    count, few = round(100_000 * scale), 2000
    bounds = [f"--max-{what}" for what in ("client-seconds", "queue-seconds", "client-bytes", "queue-bytes")]
    args = [part for name in bounds for part in (name, "1000000000")]

    async def put(target: Server, first: int, number: int) -> float:
        bodies = [
            json.dumps({"input": f"Job {n} waits in a long line."}).encode() for n in range(first, first + number)
        ]
        took, _ = await load(target.port, "/v1/jobs", bodies, 16, spread=True)
        return number / took

    async def queue(target: Server, action: str) -> None:
        connection = Connection(target.port)
        await connection.request("POST", f"/v1/queue/{action}")
        connection.close()

    async def through(target: Server, number: int) -> float:
        """Jobs per second while the first `number` of those in line are done."""
        connection = Connection(target.port)
        start = int((await get(connection, "/health"))["queued"])
        await connection.request("POST", "/v1/queue/resume")
        began = time.perf_counter()
        while (left := int((await get(connection, "/health"))["queued"])) > max(0, start - number):
            await asyncio.sleep(0.01)
        rate = (start - left) / (time.perf_counter() - began)
        await connection.request("POST", "/v1/queue/pause")
        connection.close()
        return rate

    with server("--model", "tone", "--workers", "2", *args) as target:
        asyncio.run(queue(target, "pause"))
        asyncio.run(put(target, 0, few))
        short = asyncio.run(through(target, few))
        before = target.rss
        accepted = asyncio.run(put(target, few, count))
        each = (target.rss - before) / count
        long = asyncio.run(through(target, few))
    return [
        Row(
            "depth",
            f"{count} jobs queued at {accepted:.0f}/s",
            f"{each:.0f} bytes of the server's memory each; jobs done per second with {few} in line {short:.0f}, "
            f"with {count} {long:.0f} ({short / long:.2f}× dearer)",
            each <= 2048 and short <= 2 * long,
        )
    ]
