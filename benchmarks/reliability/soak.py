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
#: Jobs after which everything that is bounded is full: a tenth of the full size.
WARM = 10_000
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


def run(jobs: int, *more: str) -> tuple[int, list[Size]]:
    """Jobs that failed, and the server's size after a fifth of the warm-up, after all of it, and at the end."""
    args = ("--model", "tone", "--workers", "2", "--cache-memory", str(8 * MIB), "--cache-bytes", str(64 * MIB), *more)
    failed, done, sizes = 0, 0, list[Size]()
    with server(*args) as target:
        for upto in (min(WARM, jobs) // 5, min(WARM, jobs), max(WARM, jobs)):
            failed += asyncio.run(_drive(target, done, upto - done))
            done = upto
            sizes.append(Size.of(target))
    return failed, sizes


def soak(seed: int, scale: float) -> list[Row]:
    """100,000 jobs; what the server takes after the first tenth of them, when all its bounded memories have filled, and
    at the end. At a smaller scale the warm-up is as long."""
    jobs = max(2 * WARM, round(100_000 * scale))
    failed, (early, before, after) = run(jobs)
    growth = after.rss / before.rss - 1
    return [
        Row(
            "P12",
            f"{jobs} jobs through one server",
            f"{failed} failed; memory {early.rss / MIB:.0f} MiB after {WARM // 5} jobs, "
            f"{before.rss / MIB:.0f} after {WARM}, {after.rss / MIB:.0f} at the end ({growth:+.1%}); "
            f"files open {before.files} → {after.files}, "
            f"threads {before.threads} → {after.threads}, tasks {before.tasks} → {after.tasks}; "
            f"write-ahead log {after.log / MIB:.1f} MiB",
            failed == 0 and growth <= 0.05 and after.log <= 64 * MIB and _flat(before, after),
        )
    ]


def _flat(before: Size, after: Size) -> bool:
    """One more of each may be at work in the moment of looking."""
    pairs = ((before.files, after.files), (before.threads, after.threads), (before.tasks, after.tasks))
    return all(late <= early + 2 for early, late in pairs)
