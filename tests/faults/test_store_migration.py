"""P14: a kill inside a migration changes no job; every past schema opens; a newer one is refused."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from antiphon.domain import errors
from antiphon.store import connect, queries
from antiphon.store.sqlite import SqliteStore

#: Opens the store in a process of its own; SIGKILL comes at the n-th instruction count of SQLite's virtual machine.
KILLED = """
import os, signal, sys
from pathlib import Path
from antiphon.store import connect

path, points = Path(sys.argv[1]), int(sys.argv[2])
count = 0

def tick():
    global count
    count += 1
    if count == points:
        os.kill(os.getpid(), signal.SIGKILL)
    return False

migrate = connect._migrate

def counted(connection):
    connection.set_progress_handler(tick, 1)
    migrate(connection)
    print(count, flush=True)

connect._migrate = counted
connect.writer(path).close()
"""
VERSIONS = [number for number, _ in queries.migrations()]
JOBS = 40


def database_of(version: int, path: Path) -> list[tuple[object, ...]]:
    """A database as that schema left it, with jobs in every state; returns its jobs."""
    db = apsw.Connection(str(path))
    db.pragma("journal_mode", "wal")
    for number, script in queries.migrations()[:version]:
        db.execute(script)
        db.pragma("user_version", number)
    states = ["queued", "running", "succeeded", "failed", "cancelled"]
    for n in range(JOBS):
        state = states[n % 5]
        values = {
            "id": f"job{n:04}",
            "type": "speech",
            "state": state,
            "owner": f"owner{n % 3}",
            "priority": "normal",
            "attempt": 0 if state == "queued" else 1,
            "fence": 1,
            "created_at": 1000.0 + n,
            "started_at": None if state == "queued" else 2000.0,
            "finished_at": 3000.0 if n % 5 > 1 else None,
            "units_total": 2,
            "units_done": 1,
            "units_cached": 0,
            "error": json.dumps({"code": "poison", "message": "m"}) if state == "failed" else None,
            "result": json.dumps(
                {"name": f"speech_{n}.wav", "media_type": "audio/wav", "bytes": 1, "duration": 1.0, "digest": "d"}
            )
            if state == "succeeded"
            else None,
            "request": json.dumps({"text": f"Text {n}"}),
        }
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        db.execute(f"INSERT INTO jobs ({names}) VALUES ({marks})", tuple(values.values()))
    found = jobs_of(db)
    db.close()
    return found


def jobs_of(db: apsw.Connection) -> list[tuple[object, ...]]:
    """What schema 1 knew of every job; later columns may be added, and never change these."""
    return db.execute(
        "SELECT seq, id, type, state, owner, priority, attempt, fence, created_at, started_at, finished_at,"
        " units_total, units_done, units_cached, error, result, request FROM jobs ORDER BY seq"
    ).fetchall()


def opened(path: Path) -> list[tuple[object, ...]]:
    """Opens as a server does, and returns the jobs of a database that is sound and of the newest schema."""
    connect.writer(path).close()
    db = apsw.Connection(str(path))
    try:
        assert db.pragma("user_version") == VERSIONS[-1]
        assert db.pragma("integrity_check") == "ok"
        return jobs_of(db)
    finally:
        db.close()


def run_killed(path: Path, point: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", KILLED, str(path), str(point)], capture_output=True, text=True)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_database_of_every_schema_opens(version: int, tmp_path: Path) -> None:
    jobs = database_of(version, tmp_path / "a.db")
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    assert len(await store.list(limit=1000)) == JOBS
    assert (await store.get("job0002")).state == "succeeded"  # type: ignore[union-attr]
    await store.close()
    assert opened(tmp_path / "a.db") == jobs


def test_killed_inside_a_migration_nothing_changes(tmp_path: Path) -> None:
    original = tmp_path / "one.db"
    jobs = database_of(1, original)
    shutil.copy(original, tmp_path / "whole.db")
    whole = run_killed(tmp_path / "whole.db", -1)
    assert whole.returncode == 0, whole.stderr
    steps = int(whole.stdout)
    assert steps > 100
    rnd = random.Random(14)
    for point in (rnd.randint(1, steps) for _ in range(10)):
        path = tmp_path / f"{point}.db"
        shutil.copy(original, path)
        died = run_killed(path, point)
        assert died.returncode == -9, (point, died.stderr)
        version = apsw.Connection(str(path)).pragma("user_version")
        assert 1 <= version <= VERSIONS[-1]
        assert opened(path) == jobs


async def test_an_older_antiphon_leaves_a_newer_database_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    database_of(VERSIONS[-1], path)
    db = apsw.Connection(str(path))
    db.pragma("user_version", VERSIONS[-1] + 1)
    db.close()
    before = path.read_bytes()
    with pytest.raises(errors.SchemaTooNew, match="Upgrade Antiphon"):
        await SqliteStore(path).open()
    assert path.read_bytes() == before
