"""kill -9 at seeded moments: every job that was acknowledged is there, and the database is whole."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import apsw

from antiphon.domain.job import State
from antiphon.store.sqlite import SqliteStore

#: Adds from many tasks at once, runs some jobs to their end, and says on its standard output what is durable.
CHILD = """
import asyncio, os, random, sys, time
from pathlib import Path
from antiphon.domain.job import Failure, Job, State
from antiphon.store.base import Idempotency
from antiphon.store.sqlite import SqliteStore

async def one(store, life, lane):
    for n in range(1_000_000):
        id = f"{life:02}-{lane:02}-{n:06}"
        job = Job(id, "speech", State.QUEUED, "me", "normal", {"text": "x" * random.randrange(3000)}, time.time())
        key = Idempotency("me", id, "body")
        await store.add(job, idempotency=key)
        os.write(1, f"{id} queued\\n".encode())
        if n % 3 == 0:
            fence = await store.start(id)
            await store.finish(id, fence, State.FAILED, error=Failure("code", "message"))
            os.write(1, f"{id} failed\\n".encode())

async def main(path, life):
    store = SqliteStore(Path(path))
    await store.open()
    await asyncio.gather(*(one(store, life, lane) for lane in range(16)))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""
LIVES = 8


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    seed = 20_240
    rng = random.Random(seed)
    path = tmp_path / "a.db"
    ledger: dict[str, str] = {}
    for life in range(LIVES):
        # From the first moments of a life to well behind its first checkpoint.
        _live(path, life, ledger, until=rng.choice([1, 20, 200, 1000, 3000]) + rng.randrange(100))
        with apsw.Connection(str(path)) as db:
            assert db.pragma("integrity_check") == "ok", f"seed {seed}, life {life}"
        db.close()
        await _check(path, ledger, f"seed {seed}, life {life}")
    assert len(ledger) > LIVES


def _live(path: Path, life: int, ledger: dict[str, str], until: int) -> None:
    """One life of the child, ended after about so many acknowledgements."""
    command = [sys.executable, "-c", CHILD, str(path), str(life)]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert child.stdout is not None
    said = b""
    try:
        while said.count(b"\n") < until:
            ready, _, _ = select.select([child.stdout], [], [], 30)
            piece = os.read(child.stdout.fileno(), 65536) if ready else b""
            assert piece, "the child fell silent"
            said += piece
    finally:
        child.send_signal(signal.SIGKILL)
        said += child.stdout.read()
        child.stdout.close()
        child.wait()
    assert child.returncode == -signal.SIGKILL
    # A line without its end was not said.
    for line in said.decode().split("\n")[:-1]:
        id, state = line.split()
        ledger[id] = state


async def _check(path: Path, ledger: dict[str, str], where: str) -> None:
    store = SqliteStore(path)
    await store.open()
    try:
        kept = {job.id: job async for job in store.rescue()}
        after: str | None = None
        while page := await store.list(after=after, limit=1000):
            kept.update((job.id, job) for job in page)
            after = page[-1].id
    finally:
        await store.close()
    lost = [id for id in ledger if id not in kept]
    assert not lost, f"{len(lost)} of {len(ledger)} acknowledged jobs lost ({where})"
    for id, said in ledger.items():
        # More may have happened than was heard of, never less.
        assert kept[id].state in ((State.FAILED,) if said == "failed" else (State.QUEUED, State.FAILED)), where
