"""P14: a kill inside a migration changes no job; every past schema opens; a newer one is refused."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import apsw
import pytest

from antiphon.domain import errors
from antiphon.domain.job import Job, State
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
JOBS = 60
STATES = ["queued", "running", "succeeded", "failed", "cancelled"]
KINDS = ["speech", "transcription", "image"]
#: Every fourth job was a request whose caller waited; every seventh accepted job has a key, every ninth a webhook.
BRIEF, KEYED, HOOKED = 4, 7, 9


def request_of(n: int) -> dict[str, object]:
    if n % BRIEF == 0:
        return {"text": "", "model": "tone", "format": "wav"}
    return {"speech": {"text": f"Text {n}"}, "transcription": {"source": "d" * 64}, "image": {"prompt": f"{n}\0"}}[
        KINDS[n % 3]
    ]


def database_of(version: int, path: Path) -> dict[str, list[tuple[object, ...]]]:
    """A database as that schema left it, with jobs of every kind in every state; returns its rows by table."""
    db = apsw.Connection(str(path))
    db.pragma("journal_mode", "wal")
    for number, script in queries.migrations()[:version]:
        db.execute(script)
        db.pragma("user_version", number)
    for n in range(JOBS):
        state = STATES[n % 5]
        values = {
            # The ids do not come in the order of acceptance, and there are gaps between the numbers.
            "seq": 3 * n + 5,
            "id": f"job{(n * 7) % JOBS:04}",
            "type": KINDS[n % 3],
            "state": state,
            "owner": f"owner{n % 3}",
            "priority": ["vip", "normal", "bulk"][n % 3],
            "attempt": 0 if state == "queued" else 1,
            "fence": 1 + n % 4,
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
            "request": json.dumps(request_of(n)),
        }
        insert(db, "jobs", values)
        if n % KEYED == 0:
            key = {"owner": values["owner"], "key": f"k{n}", "body_digest": "d", "job": values["id"], "created_at": 1.0}
            insert(db, "idempotency", key)
        if n % HOOKED == 0 and version > 1:
            insert(db, "webhooks", {"id": f"msg_{n}", "job": values["id"], "url": "http://receiver/"})
    found = rows_of(db)
    db.close()
    return found


def insert(db: apsw.Connection, table: str, values: dict[str, object]) -> None:
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))


def rows_of(db: apsw.Connection) -> dict[str, list[tuple[object, ...]]]:
    """The jobs and what refers to them."""
    found = {"jobs": jobs_of(db), "keys": db.execute("SELECT * FROM idempotency ORDER BY owner, key").fetchall()}
    if db.table_exists("main", "webhooks"):
        found["webhooks"] = db.execute("SELECT * FROM webhooks ORDER BY id").fetchall()
    return found


def jobs_of(db: apsw.Connection) -> list[tuple[object, ...]]:
    """What schema 1 knew of every job; later columns may be added, and never change these."""
    return db.execute(
        "SELECT seq, id, type, state, owner, priority, attempt, fence, created_at, started_at, finished_at,"
        " units_total, units_done, units_cached, error, result, request FROM jobs ORDER BY seq"
    ).fetchall()


def opened(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Opens as a server does, and returns the rows of a database that is sound and of the newest schema."""
    connect.writer(path).close()
    db = apsw.Connection(str(path))
    try:
        assert db.pragma("user_version") == VERSIONS[-1]
        assert db.pragma("integrity_check") == "ok"
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        return rows_of(db)
    finally:
        db.close()


def schema_of(path: Path) -> set[tuple[str, str]]:
    """Tables, indexes and triggers by name, with the table that each belongs to."""
    with contextlib.closing(apsw.Connection(str(path))) as db:
        return set(db.execute("SELECT name, tbl_name FROM sqlite_schema"))


def run_killed(path: Path, point: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", KILLED, str(path), str(point)], capture_output=True, text=True)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_database_of_every_schema_opens(version: int, tmp_path: Path) -> None:
    rows = database_of(version, tmp_path / "a.db")
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    found = await store.list(limit=1000)
    assert len(found) == JOBS
    if version < 5:
        assert {job.id for job in found if not job.kept} == {
            f"job{(n * 7) % JOBS:04}" for n in range(0, JOBS, BRIEF) if n % 5 > 1
        }
    assert (await store.get("job0014")).state == "succeeded"  # type: ignore[union-attr]
    await store.close()
    assert rows["keys"]
    assert version == 1 or rows["webhooks"]
    assert opened(tmp_path / "a.db") == {"webhooks": [], **rows}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_is_the_same_whatever_it_was_before(version: int, tmp_path: Path) -> None:
    database_of(version, tmp_path / "a.db")
    opened(tmp_path / "a.db")
    opened(tmp_path / "new.db")
    assert schema_of(tmp_path / "a.db") == schema_of(tmp_path / "new.db")
    with contextlib.closing(connect.writer(tmp_path / "a.db")) as db:
        assert db.execute("DELETE FROM jobs WHERE seq = 5 RETURNING id").get == "job0000"
        assert db.execute("SELECT count(*) FROM idempotency WHERE job = 'job0000'").get == 0


async def test_a_job_of_a_new_kind_can_be_stored_after_the_migration(tmp_path: Path) -> None:
    database_of(4, tmp_path / "a.db")
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    job = Job("new", cast(Any, "echo"), State.QUEUED, "me", "normal", {"words": ["a"]}, 100.0)
    await store.add(job)
    assert await store.get("new") == job
    await store.close()
    assert (
        connect.writer(tmp_path / "a.db").execute("SELECT max(seq) FROM jobs WHERE type = 'echo'").get == 3 * JOBS + 3
    )


@pytest.mark.parametrize("version", [1, 4])
def test_killed_inside_a_migration_nothing_changes(version: int, tmp_path: Path) -> None:
    original = tmp_path / "one.db"
    rows = database_of(version, original)
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
        at = apsw.Connection(str(path)).pragma("user_version")
        assert version <= at <= VERSIONS[-1]
        assert opened(path) == {"webhooks": [], **rows}


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
