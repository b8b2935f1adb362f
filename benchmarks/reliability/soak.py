"""P12: many jobs through one server; nothing of it grows."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from dataclasses import dataclass

import psutil

from benchmarks.http import Connection
from benchmarks.reliability.server import FINAL, Row, Server, get, server

#: Jobs that are in the server at the same time.
AHEAD = 200
MIB = 2**20


@dataclass(frozen=True)
class Size:
    """What a server takes."""

    rss: int
    files: int
    threads: int
    tasks: int
    log: int

    @classmethod
    def of(cls, target: Server) -> Size:
        process = psutil.Process(target.process.pid)
        log = target.data / "antiphon.db-wal"
        return cls(
            process.memory_info().rss,
            process.num_fds(),
            process.num_threads(),
            _tasks(target.port),
            log.stat().st_size if log.exists() else 0,
        )


def _tasks(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("antiphon_event_loop_tasks "):
                return int(float(line.split()[1]))
    raise RuntimeError("/metrics does not tell the tasks")


async def _drive(target: Server, first: int, count: int) -> int:
    """Submits that many jobs, a bounded number ahead of those that are done; how many did not succeed."""
    waiting = iter(range(first, first + count))
    failed = 0

    async def one() -> None:
        nonlocal failed
        connection = Connection(target.port)
        mine: list[str] = []
        for n in waiting:
            body = json.dumps({"input": f"Job {n} of a long life.", "response_format": "wav"}).encode()
            answer = await connection.request("POST", "/v1/jobs", body)
            mine.append(json.loads(answer.body)["id"])
            if len(mine) >= AHEAD // 8:
                failed += await _finished(connection, mine)
                mine.clear()
        failed += await _finished(connection, mine)
        connection.close()

    await asyncio.gather(*(one() for _ in range(8)))
    return failed


async def _finished(connection: Connection, ids: list[str]) -> int:
    bad = 0
    # The last one first: it tells about all of them, since they end about in order.
    for job_id in reversed(ids):
        while (job := await get(connection, f"/v1/jobs/{job_id}"))["status"] not in FINAL:
            await asyncio.sleep(0.02)
        bad += job["status"] != "succeeded"
    return bad


def run(jobs: int, *more: str) -> tuple[int, Size, Size]:
    """Jobs that failed, the server's size after a tenth of them, and at the end."""
    args = ("--model", "tone", "--workers", "2", "--cache-memory", str(8 * MIB), "--cache-bytes", str(64 * MIB), *more)
    with server(*args) as target:
        failed = asyncio.run(_drive(target, 0, jobs // 10))
        before = Size.of(target)
        failed += asyncio.run(_drive(target, jobs // 10, jobs - jobs // 10))
        after = Size.of(target)
    return failed, before, after


def soak(seed: int, scale: float) -> list[Row]:
    """100,000 jobs; what the server takes after the first tenth of them and at the end."""
    jobs = round(100_000 * scale)
    failed, before, after = run(jobs)
    growth = after.rss / before.rss - 1
    return [
        Row(
            "P12",
            f"{jobs} jobs through one server",
            f"{failed} failed; memory {before.rss / MIB:.0f} MiB after a tenth, {after.rss / MIB:.0f} at the end "
            f"({growth:+.1%}); files open {before.files} → {after.files}, threads {before.threads} → {after.threads}, "
            f"tasks {before.tasks} → {after.tasks}; write-ahead log {after.log / MIB:.1f} MiB",
            failed == 0 and growth <= 0.05 and after.log <= 64 * MIB and _flat(before, after),
        )
    ]


def _flat(before: Size, after: Size) -> bool:
    """One more of each may be at work in the moment of looking."""
    pairs = ((before.files, after.files), (before.threads, after.threads), (before.tasks, after.tasks))
    return all(late <= early + 2 for early, late in pairs)
