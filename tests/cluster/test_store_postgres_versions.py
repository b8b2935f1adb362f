"""Two versions over one database, as while servers are replaced one by one; a kill inside a migration changes no job."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from antiphon.domain import errors
from antiphon.domain.job import State
from antiphon.store import queries
from antiphon.store.postgres.store import PostgresStore
from tests.contract.test_store import RESULT, job

KNOWN = queries.migrations("antiphon.store.postgres")
NEXT = len(KNOWN) + 1
ADDS = "ALTER TABLE jobs ADD COLUMN colour text; CREATE TABLE colours (name text); CREATE INDEX ON jobs (colour);"

Knows = Callable[..., None]


@pytest.fixture
def knows(monkeypatch: pytest.MonkeyPatch) -> Knows:
    """Which migrations the version knows that is started next."""

    def set(*more: str) -> None:
        scripts = [*KNOWN, *((NEXT + n, script) for n, script in enumerate(more))]
        monkeypatch.setattr(queries, "migrations", lambda package: scripts)

    return set


@asynccontextmanager
async def opened(database: str, server: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(database, server)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def done(by: PostgresStore, id: str) -> None:
    """A job's whole life."""
    await by.add(job(id))
    fence = await by.start(id)
    assert fence is not None
    assert await by.finish(id, fence, State.SUCCEEDED, RESULT)


async def test_the_older_goes_on_while_the_newer_comes(database: str, knows: Knows) -> None:
    knows()
    async with opened(database, "old") as old:
        await done(old, "before")
        fence = (await old.add(job("across")), await old.start("across"))[1]
        assert fence is not None
        knows(ADDS)
        async with opened(database, "new") as new:
            assert await old.finish("across", fence, State.SUCCEEDED, RESULT)
            await done(old, "o")
            await done(new, "n")
            for store in (old, new):
                listed = {each.id: each for each in await store.list()}
                assert {each.state for each in listed.values()} == {State.SUCCEEDED}
                assert set(listed) == {"before", "across", "o", "n"}
            knows()
            async with opened(database, "old again") as again:  # Restarted in the middle of it.
                await done(again, "a")
                assert (await new.get("a")) == (await again.get("a"))


async def test_what_the_older_cannot_do_without_keeps_it_out(database: str, knows: Knows) -> None:
    knows(f"-- oldest: {NEXT}\nALTER TABLE documents RENAME TO papers;")
    async with opened(database, "new"):
        pass
    knows()
    with pytest.raises(errors.SchemaTooNew, match=f"schema {NEXT}, which servers use that know {NEXT} at least"):
        async with opened(database, "old"):
            pass


async def test_two_versions_apart_is_too_far(database: str, knows: Knows) -> None:
    knows(ADDS, "ALTER TABLE jobs ADD COLUMN size text;")
    async with opened(database, "newest"):
        pass
    knows(ADDS)
    async with opened(database, "newer"):
        pass
    knows()
    with pytest.raises(errors.SchemaTooNew):
        async with opened(database, "old"):
            pass


async def test_many_that_start_at_once_change_it_once(database: str, knows: Knows) -> None:
    knows(ADDS)
    stores = [PostgresStore(database, f"server {n}") for n in range(6)]
    await asyncio.gather(*(store.open() for store in stores))
    try:
        await asyncio.gather(*(done(store, f"job {n}") for n, store in enumerate(stores)))
        with psycopg.connect(database) as db:
            assert db.execute("SELECT count(*), max(version) FROM schema_version").fetchone() == (NEXT, NEXT)
    finally:
        await asyncio.gather(*(store.close() for store in stores))


async def test_a_migration_that_fails_leaves_everything_as_it_was(database: str, knows: Knows) -> None:
    knows()
    async with opened(database, "old") as old:
        await done(old, "before")
        knows(ADDS + "SELECT 1 / 0;")
        with pytest.raises(Exception, match="division by zero"):
            async with opened(database, "new"):
                pass
        await done(old, "after")
    with psycopg.connect(database) as db:
        assert db.execute("SELECT max(version) FROM schema_version").fetchone() == (len(KNOWN),)
        assert db.execute("SELECT count(*) FROM jobs").fetchone() == (2,)


# The migrations that were released

#: What schema 1 knew of a job.
COLUMNS = (
    "seq, id, type, state, owner, priority, attempt, fence, created_at, started_at, finished_at, units_total,"
    " units_done, units_cached, error::text, result::text, request::text, server, token"
)
STATES = ["queued", "running", "succeeded", "failed", "cancelled"]
KINDS = ["speech", "transcription", "image"]
OPENS = """
import asyncio, sys
from antiphon.store.postgres.store import PostgresStore

asyncio.run(PostgresStore(sys.argv[1], "killed").open())
"""


def request_of(n: int) -> dict[str, object]:
    """Every fourth job was a request whose caller waited; of the others some have a NUL in their text."""
    if n % 4 == 0:
        return {"text": "", "model": "tone", "format": "wav"}
    return {"speech": {"text": f"Text {n}\0"}, "transcription": {"source": "d" * 64}, "image": {"prompt": "p"}}[
        KINDS[n % 3]
    ]


def insert(db: psycopg.Connection[Any], n: int, server: str) -> None:
    """A job as a server of schema 1 writes it."""
    state = STATES[n % 5]
    values = {
        "id": f"job{n:04}",
        "type": KINDS[n % 3],
        "state": state,
        "owner": "me",
        "priority": "normal",
        "attempt": 0 if state == "queued" else 1,
        "fence": 1 + n % 4,
        "created_at": 1000.0 + n,
        "started_at": None if state == "queued" else 2000.0,
        "finished_at": 3000.0 if n % 5 > 1 else None,
        "units_total": 2,
        "units_done": 1,
        "units_cached": 0,
        "error": json.dumps({"code": "poison", "message": "m"}) if state == "failed" else None,
        "result": json.dumps({"name": "a.wav", "media_type": "audio/wav", "bytes": 1, "duration": 1.0, "digest": "d"})
        if state == "succeeded"
        else None,
        "request": json.dumps(request_of(n)),
        "server": server,
    }
    marks = ", ".join(f"%({name})s" for name in values)
    db.execute(f"INSERT INTO jobs ({', '.join(values)}) VALUES ({marks})", values)  # type: ignore[arg-type]


def unkept(first: int, last: int) -> set[str]:
    return {f"job{n:04}" for n in range(first, last) if n % 4 == 0 and n % 5 > 1}


@pytest.fixture
def released(database: str) -> str:
    """A database of schema 1 with jobs of every kind in every state, a key and a webhook."""
    with psycopg.connect(database) as db:
        db.execute("CREATE TABLE schema_version (version integer, oldest integer)")
        db.execute(KNOWN[0][1])  # type: ignore[arg-type]
        db.execute("INSERT INTO schema_version VALUES (1, 0)")
        for n in range(60):
            insert(db, n, "gone")
        db.execute("INSERT INTO idempotency VALUES ('me', 'k', 'd', 'job0003', 1.0)")
        db.execute("INSERT INTO webhooks (id, job, url, server) VALUES ('m', 'job0003', 'http://receiver/', 'gone')")
    return database


def rows_of(database: str) -> list[Any]:
    with psycopg.connect(database) as db:
        jobs = db.execute(f"SELECT {COLUMNS} FROM jobs ORDER BY seq").fetchall()
        return [jobs, *(db.execute(f"SELECT * FROM {name}").fetchall() for name in ("idempotency", "webhooks"))]


async def test_the_database_of_the_first_schema_keeps_its_jobs(released: str) -> None:
    before = rows_of(released)
    async with opened(released, "new") as store:
        assert rows_of(released) == before
        found = await store.list(limit=1000)
        assert {each.id for each in found if not each.kept} == unkept(0, 60)
        assert {each.type for each in found} == set(KINDS)
        wanted = job("new", type="echo")
        await store.add(wanted)
        assert await store.get("new") == wanted


async def test_a_server_of_the_first_schema_still_writes(released: str) -> None:
    async with opened(released, "new") as store:
        with psycopg.connect(released) as db:
            for n in range(60, 120):
                insert(db, n, "old")
        found = await store.list(limit=1000)
        assert {each.id for each in found if not each.kept} == unkept(0, 120)


@pytest.mark.parametrize("at", ["jobs", "schema_version"])
async def test_killed_inside_a_migration_nothing_changes(released: str, at: str) -> None:
    """A lock holds the server at the migration's first statement, or at its last."""
    before = rows_of(released)
    with psycopg.connect(released) as db:
        db.execute(f"LOCK TABLE {at} IN SHARE MODE")  # type: ignore[arg-type]
        server = subprocess.Popen([sys.executable, "-c", OPENS, released])
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
        until = time.monotonic() + 30
        while db.execute(waiting, (at,)).fetchone() != (1,):
            assert time.monotonic() < until
            time.sleep(0.05)
        server.kill()
        server.wait()
    assert rows_of(released) == before
    async with opened(released, "new") as store:
        assert rows_of(released) == before
        assert {each.id for each in await store.list(limit=1000) if not each.kept} == unkept(0, 60)
