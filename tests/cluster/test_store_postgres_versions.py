"""Two versions over one database, as while servers are replaced one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

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
