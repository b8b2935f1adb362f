"""What only the SQLite store promises: group commit, a schema that refuses nonsense, versions, a bounded log."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import apsw
import pytest

from antiphon.app import stores
from antiphon.domain import errors
from antiphon.domain.job import Job, State
from antiphon.settings import load
from antiphon.store import connect, integrity, queries, sqlite
from antiphon.store import writer as writers
from antiphon.store.base import Idempotency, Webhook
from antiphon.store.sqlite import SQL, SqliteStore
from antiphon.store.writer import Writer


def job(id: str, text: str = "Hello") -> Job:
    return Job(id, "speech", State.QUEUED, "me", "normal", {"text": text}, 100.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(path)
    await made.open()
    yield made
    await made.close()


# Group commit


class Gate:
    """An operation that holds the writer's thread until it is opened, so that what follows becomes one group."""

    def __init__(self) -> None:
        self.held = threading.Event()
        self.open = threading.Event()

    def __call__(self, _: apsw.Connection) -> None:
        self.held.set()
        assert self.open.wait(20)


@pytest.fixture
async def counted(path: Path) -> AsyncIterator[tuple[Writer, list[int], list[BaseException]]]:
    connection = connect.writer(path)
    commits: list[int] = []
    fatal: list[BaseException] = []

    def counts() -> bool:
        commits.append(1)
        return False

    connection.set_commit_hook(counts)
    made = Writer(connection, fatal.append)
    yield made, commits, fatal
    await made.close()


def value(name: str, text: str = "1") -> writers.Op:
    return lambda db: db.execute(SQL["set_value"], (name, text)).get


async def begun(*asks: asyncio.Task[None]) -> None:
    """Lets the tasks reach the writer's queue."""
    await asyncio.sleep(0)
    assert not any(ask.done() for ask in asks)


async def test_what_waits_is_one_commit_and_one_wake_up(
    counted: tuple[Writer, list[int], list[BaseException]], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, commits, _ = counted
    calls: list[object] = []
    tell = Writer._resolve_soon

    def counting(self: Writer, outcomes: list[writers.Outcome]) -> None:
        calls.append(len(outcomes))
        tell(self, outcomes)

    monkeypatch.setattr(Writer, "_resolve_soon", counting)
    gate = Gate()
    first = asyncio.create_task(writer.run(gate))
    await asyncio.to_thread(gate.held.wait, 20)
    asks = [asyncio.create_task(writer.run(value(f"k{i}"))) for i in range(100)]
    await begun(first, *asks)
    gate.open.set()
    await asyncio.gather(first, *asks)
    assert (len(commits), calls) == (2, [1, 100])


async def test_a_group_is_bounded(counted: tuple[Writer, list[int], list[BaseException]]) -> None:
    writer, commits, _ = counted
    await asyncio.gather(*(writer.run(value(f"k{i}")) for i in range(3 * writers.GROUP)))
    assert 3 <= len(commits) < 50


async def test_an_operation_that_fails_takes_nobody_along(
    counted: tuple[Writer, list[int], list[BaseException]],
) -> None:
    writer, commits, fatal = counted

    def half(db: apsw.Connection) -> None:
        db.execute(SQL["set_value"], ("half", "1"))
        raise errors.Conflict("changed my mind")

    def broken(db: apsw.Connection) -> None:
        db.execute(SQL["set_value"], ("broken", "1"))
        db.execute("INSERT INTO documents VALUES ('twice', '1'), ('twice', '2')")

    gate = Gate()
    first = asyncio.create_task(writer.run(gate))
    await asyncio.to_thread(gate.held.wait, 20)
    ops = [value("a"), half, value("b"), broken, value("c", "not json"), value("d")]
    asks = [asyncio.create_task(writer.run(op)) for op in ops]
    await begun(first, *asks)
    gate.open.set()
    said = await asyncio.gather(*asks, return_exceptions=True)
    assert [type(each) for each in said] == [
        type(None), errors.Conflict, type(None), errors.Conflict, errors.StoreError, type(None),
    ]  # fmt: skip
    names = await writer.run(lambda db: [row[0] for row in db.execute("SELECT name FROM documents ORDER BY name")])
    # The gate, the group, and the question.
    assert (names, len(commits), fatal) == (["a", "b", "d"], 3, [])
    await first


async def test_a_cancelled_caller_leaves_nothing_open(counted: tuple[Writer, list[int], list[BaseException]]) -> None:
    writer, _, _ = counted
    gate = Gate()
    first = asyncio.create_task(writer.run(gate))
    await asyncio.to_thread(gate.held.wait, 20)
    ask = asyncio.create_task(writer.run(value("a")))
    await begun(first, ask)
    first.cancel()
    ask.cancel()
    await asyncio.gather(first, ask, return_exceptions=True)
    gate.open.set()
    await writer.run(value("b"))
    names = await writer.run(lambda db: [row[0] for row in db.execute("SELECT name FROM documents ORDER BY name")])
    # What was asked happens, whether anybody still waits for it or not.
    assert names == ["a", "b"]


async def test_closing_finishes_what_was_asked(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    asks = [asyncio.create_task(store.add(job(f"{i:03}"))) for i in range(300)]
    await asyncio.sleep(0)
    await store.close()
    assert all(new for _, new in await asyncio.gather(*asks))
    assert not path.with_name("a.db-wal").exists()
    with apsw.Connection(str(path)) as db:
        assert db.execute("SELECT count(*) FROM jobs").get == 300


async def test_somebody_elses_lock_is_waited_for_and_ends_nothing(store: SqliteStore, path: Path) -> None:
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    store._writer._connection.set_busy_timeout(20)
    with pytest.raises(errors.StoreAway, match="held up"):
        await store.add(job("a"))
    other.execute("ROLLBACK")
    other.close()
    await store.add(job("a"))
    assert store.broken is None


async def test_the_log_stays_small(store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "CHECKPOINT", 50)
    wal = path.with_name("a.db-wal")
    sizes = []
    for i in range(60):
        await store.add(job(f"{i:03}", text="x" * 50_000))
        sizes.append(wal.stat().st_size)
    # 3 MB went through; 50 pages are 0.2 MB, and one transaction may be added before it is cut.
    assert max(sizes) < 1_000_000


async def test_a_reader_that_stays_is_waited_for_only_when_the_log_is_long(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "CHECKPOINT", 5)
    monkeypatch.setattr(writers, "CHECKPOINT_HARD", 200)
    await store.add(job("a"))
    store._writer._connection.set_busy_timeout(1)
    stays = apsw.Connection(str(path))
    cursor = stays.execute("SELECT id FROM jobs UNION ALL SELECT id FROM jobs")
    assert next(cursor) == ("a",)
    for i in range(100):
        await store.add(job(f"{i:03}", text="x" * 10_000))
    assert store.broken is None
    cursor.close()
    stays.close()
    await store.add(job("b"))
    await store.add(job("c"))
    assert path.with_name("a.db-wal").stat().st_size < 1_000_000
    assert (await store.counts())[State.QUEUED] == 103


async def test_a_rescue_never_holds_the_whole_queue(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "RESCUE_JOBS", 10)
    monkeypatch.setattr(sqlite, "RESCUE_CHARS", 50_000)
    batches: list[int] = []
    queued = sqlite._queued

    def counting(db: apsw.Connection, after: int, last: int) -> list[tuple[int, Job]]:
        found = queued(db, after, last)
        batches.append(len(found))
        return found

    monkeypatch.setattr(sqlite, "_queued", counting)
    # Thirty short ones, four of which five fill a batch, and one that is longer than a batch may be.
    texts = ["short"] * 30 + ["x" * 12_000] * 10 + ["y" * 200_000]
    for i, text in enumerate(texts):
        await store.add(job(f"{i:03}", text))
    found = [each async for each in store.rescue()]
    assert [each.request["text"] for each in found] == texts
    assert batches == [10, 10, 10, 5, 5, 1, 0]


# Schema

ILLEGAL = [
    "state = 'done'",
    "state = 'running'",
    "state = 'running', started_at = 1.0",
    "state = 'running', started_at = 1.0, attempt = 1",
    "state = 'cancelled'",
    "finished_at = 1.0",
    "state = 'succeeded', finished_at = 1.0",
    "state = 'failed', finished_at = 1.0",
    "result = '{}'",
    "error = '{}'",
    "state = 'failed', finished_at = 1.0, error = 'not json'",
    "state = 'succeeded', finished_at = 1.0, result = 'not json'",
    "attempt = -1",
    "attempt = 1",
    "units_done = 1",
    "units_cached = 1",
    "units_total = -1, units_done = -1, units_cached = -1",
    "request = 'not json'",
    "request = NULL",
    "type = ''",
    "kept = 2",
    "kept = NULL",
    "priority = 'first'",
    "id = ''",
    "created_at = 'today'",
]


@pytest.mark.parametrize("change", ILLEGAL)
async def test_a_state_that_means_nothing_cannot_be_stored(store: SqliteStore, path: Path, change: str) -> None:
    await store.add(job("a"))
    with apsw.Connection(str(path)) as db, pytest.raises(apsw.ConstraintError):
        db.execute(f"UPDATE jobs SET {change}")


async def test_the_states_that_mean_something_can(store: SqliteStore, path: Path) -> None:
    await store.add(job("a"))
    with apsw.Connection(str(path)) as db:
        db.execute("UPDATE jobs SET state = 'running', started_at = 1.0, attempt = 1, fence = 1")
        db.execute("UPDATE jobs SET state = 'failed', finished_at = 1.0, error = '{}'")
        db.execute("UPDATE jobs SET state = 'cancelled', error = NULL")
        db.execute("UPDATE jobs SET state = 'succeeded', result = '{}'")


# Opening

#: The statement `add` of the schemas before the column `kept`, which is parameter 13.
ADD_WITHOUT_KEPT = """
INSERT INTO jobs (id, type, state, owner, priority, attempt, fence, created_at, started_at, finished_at,
                  units_total, units_done, units_cached, error, result, request)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?17, ?18, ?19)
"""
ADD_WITHOUT_ORDERS = ADD_WITHOUT_KEPT.replace("error,", "kept, error,").replace("?17", "?13, ?17")


async def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.add(job("a"))
    await store.close()
    with apsw.Connection(str(path)) as db:
        db.pragma("user_version", 99)
    db.close()
    before = path.read_bytes(), path.stat().st_mtime_ns
    with pytest.raises(errors.SchemaTooNew, match="schema 99"):
        await SqliteStore(path).open()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [file.name for file in path.parent.iterdir()] == ["a.db"]


async def test_a_migration_happens_whole_or_not_at_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.add(job("a"))
    await store.close()
    known = queries.migrations()
    following = len(known) + 1
    good = "CREATE TABLE more (x TEXT) STRICT; INSERT INTO more SELECT id FROM jobs;"
    monkeypatch.setattr(
        queries, "migrations", lambda: [*known, (following, good + "UPDATE jobs SET state = 'nonsense';")]
    )
    with pytest.raises(errors.StoreError, match="CHECK"):
        await SqliteStore(path).open()
    with apsw.Connection(str(path)) as db:
        assert (db.pragma("user_version"), db.table_exists("main", "more")) == (len(known), False)
    db.close()
    monkeypatch.setattr(queries, "migrations", lambda: [*known, (following, good)])
    for _ in range(2):
        store = SqliteStore(path)
        await store.open()
        assert await store.get("a") == job("a")
        await store.close()
    with apsw.Connection(str(path)) as db:
        assert db.execute("SELECT x FROM more").fetchall() == [("a",)]
        assert db.pragma("user_version") == following


async def test_every_older_schema_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = queries.migrations()
    for version in range(1, len(known)):
        path.unlink(missing_ok=True)
        with monkeypatch.context() as older:
            older.setattr(queries, "migrations", lambda upto=version: known[:upto])
            if version < 6:
                add = ADD_WITHOUT_KEPT if version < 5 else ADD_WITHOUT_ORDERS
                older.setitem(SQL, "add", add)  # type: ignore[misc]
            store = SqliteStore(path)
            await store.open()
            await store.add(job("a"))
            await store.close()
        store = SqliteStore(path)
        await store.open()
        assert await store.get("a") == job("a")
        await store.add(job("b"), webhook=Webhook("msg_1", "", "http://receiver/"))
        assert len(await store.pending_webhooks()) == 1
        await store.close()


async def test_what_is_no_database_is_named(path: Path) -> None:
    path.write_bytes(b"this is a text, and no database at all" * 100)
    with pytest.raises(errors.StoreError, match=r"a\.db"):
        await SqliteStore(path).open()
    with pytest.raises(errors.FolderUnusable, match="cannot open"):
        await SqliteStore(path / "below" / "b.db").open()


async def test_a_store_that_was_never_opened_says_so(path: Path) -> None:
    store = SqliteStore(path)
    with pytest.raises(errors.StoreError, match="not open"):
        await store.add(job("a"))
    await store.close()


def test_statements_that_are_asked_often_use_an_index(path: Path) -> None:
    db = connect.writer(path)
    for name, values in {
        "get": ("a", None),
        "start": ("a", 1.0),
        "finish": ("a", 1, "failed", 1.0, None, "{}", None, None, None),
        "progress": ("a", 1, 3, 2, 1),
        "list": (None, None, 50),
        "list_of_owner": (None, None, 50, "me"),
        "queued_after": (0, 100),
        "events_after": (0, None, 10),
        "events_of_job": (0, None, 10, "a"),
        "prune_jobs": (1.0, 10),
        "prune_events": (1, 10),
        "prune_keys": (1.0, 10),
    }.items():
        plan = [str(row[3]) for row in db.execute("EXPLAIN QUERY PLAN " + SQL[name], values)]
        assert not any(step.startswith("SCAN jobs") and "INDEX" not in step for step in plan), (name, plan)
        assert not any("TEMP B-TREE" in step for step in plan), (name, plan)
    db.close()


# Damage


def filled(path: Path, jobs: int = 1000) -> None:
    """A database of many pages, closed."""

    async def fill() -> None:
        store = SqliteStore(path)
        await store.open()
        await asyncio.gather(*(store.add(job(f"{n:05}", "word " * 200)) for n in range(jobs)))
        await store.close()

    asyncio.run(fill())


def noise(path: Path, first: int, pages: int = 1_000_000) -> None:
    rnd = random.Random(first)
    with path.open("r+b") as file:
        file.seek(first * 4096)
        for _ in range(min(pages, path.stat().st_size // 4096 - first)):
            file.write(rnd.randbytes(4096))


def test_damage_of_any_page_is_found_at_the_start(tmp_path: Path) -> None:
    filled(tmp_path / "whole.db", 60)
    pages = (tmp_path / "whole.db").stat().st_size // 4096
    assert pages > 30
    for page in range(pages):
        path = tmp_path / "damaged.db"
        shutil.copy(tmp_path / "whole.db", path)
        noise(path, page, 1)
        before = path.read_bytes()
        with pytest.raises(errors.DatabaseDamaged, match="is damaged"):
            connect.writer(path)
        assert path.read_bytes() == before, page
        assert integrity.problems(path)
    assert integrity.problems(tmp_path / "whole.db") == []


def test_a_row_whose_json_is_damaged_is_found_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    filled(path, 60)
    path.write_bytes(path.read_bytes().replace(b'{"text":"word', b'{"text"#"word', 1))
    with pytest.raises(errors.DatabaseDamaged, match="CHECK"):
        connect.writer(path)


def test_the_check_at_a_start_takes_a_bounded_time_and_begins_with_what_is_small(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    filled(path)
    with contextlib.closing(connect.writer(path)) as db:
        assert integrity.check_quickly(db, path)
        began = time.monotonic()
        assert not integrity.check_quickly(db, path, seconds=0.0)
        assert time.monotonic() - began < 1.0
        order: list[str] = []
        tables = integrity._tables(db)
        assert sorted(tables) == sorted({*tables, "keys", "pauses", "voices", *integrity.LARGE})
        db.set_exec_trace(lambda cursor, sql, bindings: order.append(sql) or True)
        integrity.check_quickly(db, path)
        checked = [sql.split('"')[1] for sql in order if "quick_check" in sql]
        assert sorted(checked[-2:]) == ["events", "jobs"]


@pytest.mark.parametrize("ask", ["list", "get", "rescue", "add", "find_idempotent"])
async def test_damage_that_is_found_later_ends_the_store(ask: str, path: Path) -> None:
    await asyncio.to_thread(filled, path)
    fatal: list[BaseException] = []
    store = SqliteStore(path, on_fatal=fatal.append)
    await store.open()
    noise(path, 3)

    async def rescue() -> None:
        assert [each async for each in store.rescue()]

    asked = {
        "list": store.list, "get": lambda: store.get("00500"), "rescue": rescue, "add": lambda: store.add(job("new")),
        "find_idempotent": lambda: store.find_idempotent(Idempotency("me", "key", "d")),
    }[ask]  # fmt: skip
    with pytest.raises(errors.DatabaseDamaged) as caught:
        await cast("Any", asked)()
    assert str(path) not in caught.value.message
    await asyncio.sleep(0)
    assert len(fatal) == 1
    assert stores.failure(load(flags={"data_dir": path.parent}), fatal[0]).code == "database_damaged"  # type: ignore[attr-defined]
    await store.close()


@pytest.mark.parametrize("by", ["reader", "writer"])
async def test_a_row_that_means_nothing_ends_the_store(by: str, path: Path) -> None:
    fatal: list[BaseException] = []
    store = SqliteStore(path, on_fatal=fatal.append)
    await store.open()
    await store.add(job("a"))
    db = apsw.Connection(str(path))
    db.execute("PRAGMA ignore_check_constraints = on; UPDATE jobs SET request = '{'")
    db.close()
    with pytest.raises(errors.DatabaseDamaged):
        await (store.list() if by == "reader" else store.retry("a"))
    await asyncio.sleep(0)
    assert len(fatal) == 1
    await store.close()
