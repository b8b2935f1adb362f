"""P1 and P15: the server is killed again and again while jobs come in; then every promise is counted."""

from __future__ import annotations

import asyncio
import json
import random

from benchmarks.http import Connection
from benchmarks.reliability.server import Row, Server, ended, server, submit


async def _submit(port: int, first: int, count: int, ledger: list[str]) -> None:
    """Submits until the server is gone; the ledger has what was answered with 202."""
    connection = Connection(port)
    try:
        for n in range(first, first + count):
            job = await submit(connection, f"Job number {n}. It has a second sentence.")
            if job is not None:
                ledger.append(job["id"])
    except (OSError, asyncio.IncompleteReadError):
        return
    finally:
        connection.close()


async def _life(killed: Server, seconds: float, first: int, count: int, ledger: list[str]) -> None:
    task = asyncio.create_task(_submit(killed.port, first, count, ledger))
    await asyncio.sleep(seconds)
    killed.kill()
    await task


async def _counts(port: int, ledger: list[str]) -> dict[str, int]:
    connection = Connection(port)
    counts: dict[str, int] = {}
    for job_id in ledger:
        status = (await ended(connection, job_id))["status"]
        counts[status] = counts.get(status, 0) + 1
    connection.close()
    return counts


def kills(seed: int, scale: float) -> list[Row]:
    """200 kills at seeded moments while 1,000 jobs are submitted."""
    times, jobs = round(200 * scale), round(1000 * scale)
    rnd = random.Random(seed)
    ledger: list[str] = []
    slowest = 0.0
    with server("--model", "tone", "--workers", "2", tone_delay="0.02") as killed:
        for n in range(times):
            asyncio.run(_life(killed, rnd.uniform(0.005, 0.2), n * jobs // times, 5, ledger))
            slowest = max(slowest, killed.start())
        counts = asyncio.run(_counts(killed.port, ledger))
        files = {path.name for path in (killed.data / "output").iterdir()}
        code = killed.stop()
    lost = len(ledger) - counts.get("succeeded", 0)
    doubled = len(ledger) - len(set(ledger))
    extra = len(files) - len(files & {f"speech_{job_id}.wav" for job_id in ledger})
    return [
        Row(
            "P1",
            f"{times} kills at seeded moments, {len(ledger)} jobs accepted",
            f"{lost} lost, {doubled} doubled, {extra} of jobs that were never acknowledged; "
            f"slowest start {slowest:.1f} s; last exit code {code}",
            lost == 0 and doubled == 0 and slowest <= 5 and code == 0,
        )
    ]


def once(seed: int, scale: float) -> list[Row]:
    """1,000 duplicates with one Idempotency-Key, 100 at a time, and a kill in the middle."""
    count = round(1000 * scale)
    rnd = random.Random(seed)
    headers = {"Idempotency-Key": f"one-{seed}"}
    ids: set[str] = set()

    async def duplicates(port: int, times: int) -> int:
        waiting = iter(range(times))
        answered = 0

        async def client() -> None:
            nonlocal answered
            connection = Connection(port)
            try:
                for _ in waiting:
                    answer = await connection.request("POST", "/v1/jobs", b'{"input": "Said once."}', headers)
                    if answer.status == 202:
                        ids.add(json.loads(answer.body)["id"])
                        answered += 1
            except (OSError, asyncio.IncompleteReadError):
                return
            finally:
                connection.close()

        await asyncio.gather(*(client() for _ in range(100)))
        return answered

    async def first(killed: Server) -> int:
        task = asyncio.create_task(duplicates(killed.port, count // 2))
        await asyncio.sleep(rnd.uniform(0.2, 0.4))
        killed.kill()
        return await task

    with server("--model", "tone") as killed:
        before = asyncio.run(first(killed))
        killed.start()
        after = asyncio.run(duplicates(killed.port, count - count // 2))

        async def jobs() -> int:
            connection = Connection(killed.port)
            listed = json.loads((await connection.request("GET", "/v1/jobs")).body)["data"]
            connection.close()
            return len(listed)

        found = asyncio.run(jobs())
    return [
        Row(
            "P15",
            f"{count} duplicates of one Idempotency-Key, 100 at a time, a kill in the middle",
            f"{found} job ({before} answered before the kill, {after} after)",
            found == 1 and len(ids) == 1 and after == count - count // 2,
        )
    ]
