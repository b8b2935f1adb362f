"""The job store in SQLite: every change is on disk before its caller goes on."""

from __future__ import annotations

import asyncio
import builtins
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw

from antiphon.domain import errors
from antiphon.domain.event import Event
from antiphon.domain.job import Failure, Job, Result, State, Units
from antiphon.store import base, connect, queries, rows
from antiphon.store.base import Idempotency, Webhook
from antiphon.store.keys import SqliteKeys
from antiphon.store.reader import Reader
from antiphon.store.voices import SqliteVoices
from antiphon.store.writer import Writer

SQL = queries.load()

#: Jobs and characters of their requests that `rescue` reads at a time: whichever is reached first.
RESCUE_JOBS, RESCUE_CHARS = 500, 4 * 1024 * 1024
#: Rows that `prune` removes in one transaction, so that others get their turn.
PRUNE = 500


class SqliteStore(SqliteVoices, SqliteKeys):
    """A `JobStore` in one file (and its `-wal` and `-shm` while it is open)."""

    cluster: base.ClusterChannel | None = None

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.time,
        *,
        on_fatal: Callable[[BaseException], None] = lambda error: None,
        vfs: str | None = None,
        synchronous: connect.Synchronous = "FULL",
    ) -> None:
        """`on_fatal` is called once, in the event loop, when the disk failed and the process must end.

        `vfs` and `synchronous` are for tests and measurements.
        """
        self._path, self._clock, self._on_fatal = Path(path), clock, on_fatal
        self._vfs, self._synchronous = vfs, synchronous
        self._writer_: Writer | None = None
        self._reader_: Reader | None = None

    async def open(self) -> None:
        connection = await asyncio.to_thread(connect.writer, self._path, vfs=self._vfs, synchronous=self._synchronous)
        try:
            self._reader_ = await asyncio.to_thread(Reader, self._path, vfs=self._vfs)
        except BaseException:
            connect.abandon(connection)
            raise
        self._writer_ = Writer(connection, self._on_fatal)

    async def close(self) -> None:
        # The reader first: the last connection to close copies the log into the database and removes it.
        if self._reader_ is not None:
            await self._reader_.close()
        if self._writer_ is not None:
            await self._writer_.close()

    @property
    def broken(self) -> BaseException | None:
        """Why nothing is written any more; None while all is well."""
        return self._writer_.broken if self._writer_ else None

    # Life of a job

    async def add(
        self, job: Job, *, idempotency: Idempotency | None = None, webhook: Webhook | None = None
    ) -> tuple[Job, bool]:
        base.check_new(job)

        def op(db: apsw.Connection) -> tuple[Job, bool]:
            if idempotency is not None:
                known = self._find_idempotent(db, idempotency)
                if known is not None:
                    return known, False
            db.execute(SQL["add"], rows.from_job(job))
            if idempotency is not None:
                i = idempotency
                db.execute(SQL["keep_key"], (i.owner, i.key, i.body_digest, job.id, self._clock()))
            if webhook is not None:
                db.execute(SQL["add_webhook"], (webhook.id, job.id, webhook.url, webhook.secret))
            return job, True

        return await self._writer.run(op)

    async def find_idempotent(self, idempotency: Idempotency) -> Job | None:
        return await self._writer.run(lambda db: self._find_idempotent(db, idempotency))

    def _find_idempotent(self, db: apsw.Connection, idempotency: Idempotency) -> Job | None:
        """The job that this key made; raises `IdempotencyMismatch` if it was made from another body."""
        oldest = self._clock() - base.IDEMPOTENCY_SECONDS
        found = db.execute(SQL["find_key"], (idempotency.owner, idempotency.key, oldest)).fetchone()
        if found is None:
            return None
        if found[0] != idempotency.body_digest:
            raise errors.IdempotencyMismatch(param="Idempotency-Key")
        return _get(db, found[1], None)

    async def record(self, job: Job) -> None:
        base.check_final(job)
        await self._writer.run(lambda db: db.execute(SQL["add"], rows.from_job(job)).get)

    async def start(self, id: str) -> int | None:
        fence: int | None = await self._change("start", id, self._clock())
        return fence

    async def progress(self, id: str, attempt: int, units: Units) -> bool:
        base.check_units(units)
        return await self._change("progress", id, attempt, units.total, units.done, units.cached) is not None

    async def finish(
        self,
        id: str,
        attempt: int,
        state: State,
        result: Result | None = None,
        error: Failure | None = None,
        units: Units | None = None,
    ) -> bool:
        base.check_ending(state, result, error)
        if units is not None:
            base.check_units(units)
        counted = (units.total, units.done, units.cached) if units else (None, None, None)
        ended = (result and rows.encode(result), error and rows.encode(error))
        values = (id, attempt, state.value, self._clock(), *ended, *counted)
        return await self._change("finish", *values) is not None

    async def release(self, id: str, attempt: int, spend: bool) -> bool:
        return await self._change("release", id, attempt, 0 if spend else 1) is not None

    async def cancel(self, id: str, owner: str | None = None) -> tuple[Job, bool] | None:
        now = self._clock()

        def op(db: apsw.Connection) -> tuple[Job, bool] | None:
            changed = db.execute(SQL["cancel"], (id, owner, now)).get
            job = _get(db, id, owner)
            return None if job is None else (job, changed is not None)

        return await self._writer.run(op)

    async def retry(self, id: str, owner: str | None = None) -> Job:
        def op(db: apsw.Connection) -> Job:
            changed = db.execute(SQL["retry"], (id, owner)).get
            job = _get(db, id, owner)
            if job is None:
                raise errors.NotFound(base.no_job(id))
            if changed is None:
                raise errors.Conflict(base.no_retry(job))
            return job

        return await self._writer.run(op)

    async def requeue_succeeded(self, id: str, request: Mapping[str, Any], owner: str | None = None) -> Job:
        text = rows.encode(request)

        def op(db: apsw.Connection) -> Job:
            changed = db.execute(SQL["requeue_succeeded"], (id, owner, text)).get
            job = _get(db, id, owner)
            if job is None:
                raise errors.NotFound(base.no_job(id))
            if changed is None:
                raise errors.Conflict(base.not_succeeded(job))
            return job

        return await self._writer.run(op)

    async def rescue(self) -> AsyncIterator[Job]:
        def requeue(db: apsw.Connection) -> int:
            db.execute(SQL["requeue_running"])
            last: int = db.execute(SQL["last_seq"]).get
            return last

        last = await self._writer.run(requeue)
        seq = 0
        while batch := await self._reader.run(lambda db, after=seq: _queued(db, after, last)):  # type: ignore[misc]
            for seq, job in batch:  # noqa: B007 - the next batch begins behind the last one
                yield job

    async def unannounced_endings(self, since: float, before: float) -> builtins.list[Job]:
        asked = (since, before, base.ENDING_SLACK)
        return await self._reader.run(lambda db: [*map(rows.to_job, db.execute(SQL["unannounced_endings"], asked))])

    async def _change(self, name: str, *values: Any) -> Any:
        """Runs one statement; the one value that it returns, None if no row was changed."""
        return await self._writer.run(lambda db: db.execute(SQL[name], values).get)

    # Questions

    async def get(self, id: str, owner: str | None = None) -> Job | None:
        return await self._reader.run(lambda db: _get(db, id, owner))

    async def list(
        self,
        owner: str | None = None,
        states: Sequence[State] | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> builtins.list[Job]:
        name, which = ("list", ()) if owner is None else ("list_of_owner", (owner,))
        values = (after, None if states is None else rows.encode(states), limit, *which)
        return await self._reader.run(lambda db: [*map(rows.to_job, db.execute(SQL[name], values))])

    async def counts(self) -> dict[State, int]:
        found: builtins.list[Any] = await self._reader.run(lambda db: db.execute(SQL["counts"]).fetchall())
        return dict.fromkeys(State, 0) | {State(state): count for state, count in found}

    # Events

    async def append_events(self, events: Sequence[Event]) -> None:
        if events:
            await self._change("append_events", rows.encode(events))

    async def events_after(
        self, id: int, job: str | None = None, owner: str | None = None, limit: int = 1000
    ) -> builtins.list[Event]:
        name, which = ("events_after", ()) if job is None else ("events_of_job", (job,))
        values = (id, owner, limit, *which)
        return await self._reader.run(lambda db: [*map(rows.to_event, db.execute(SQL[name], values))])

    async def last_event_id(self) -> int:
        found: int = await self._reader.run(lambda db: db.execute(SQL["last_event"]).get)
        return found

    # Webhooks

    async def pending_webhooks(self) -> builtins.list[Webhook]:
        return await self._reader.run(lambda db: [Webhook(*row) for row in db.execute(SQL["pending_webhooks"])])

    async def webhook_done(self, id: str) -> None:
        await self._writer.run(lambda db: db.execute(SQL["webhook_done"], (id,)).get)

    async def webhook_failed(self, id: str, next_at: float, error: str) -> None:
        await self._writer.run(lambda db: db.execute(SQL["webhook_failed"], (id, next_at, error)).get)

    # Retention

    async def prune(self, before: float) -> builtins.list[str]:
        names: builtins.list[str] = []
        while removed := await self._removed("prune_jobs", before):
            names += filter(None, removed)
        oldest = await self._reader.run(lambda db: db.execute(SQL["oldest_kept_event"], (before,)).get)
        while await self._removed("prune_events", oldest):
            pass
        expired = self._clock() - base.IDEMPOTENCY_SECONDS
        while await self._removed("prune_keys", expired):
            pass
        return names

    async def _removed(self, name: str, bound: float) -> builtins.list[Any]:
        return await self._writer.run(lambda db: [row[0] for row in db.execute(SQL[name], (bound, PRUNE))])

    async def get_value(self, key: str) -> Any:
        found = await self._reader.run(lambda db: db.execute(SQL["get_value"], (key,)).fetchone())
        return found and rows.decode(found[0])

    async def set_value(self, key: str, value: Any) -> None:
        await self._change("set_value", key, rows.encode(value))

    async def set_default(self, key: str, value: Any) -> Any:
        def op(db: apsw.Connection) -> Any:
            db.execute(SQL["set_default"], (key, rows.encode(value)))
            return rows.decode(db.execute(SQL["get_value"], (key,)).get)

        return await self._writer.run(op)

    @property
    def _writer(self) -> Writer:
        if self._writer_ is None:
            raise errors.StoreError("the job store is not open")
        return self._writer_

    @property
    def _reader(self) -> Reader:
        if self._reader_ is None:
            raise errors.StoreError("the job store is not open")
        return self._reader_


def _get(db: apsw.Connection, id: str, owner: str | None) -> Job | None:
    row = db.execute(SQL["get"], (id, owner)).fetchone()
    return row and rows.to_job(row)


def _queued(db: apsw.Connection, after: int, last: int) -> builtins.list[tuple[int, Job]]:
    """The next queued jobs, few enough to be held; at least one if there is any."""
    found: builtins.list[tuple[int, Job]] = []
    chars = 0
    cursor = db.execute(SQL["queued_after"], (after, last))
    for row in cursor:
        found.append((row[0], rows.to_job(row)))
        chars += len(row[-1])
        if len(found) >= RESCUE_JOBS or chars >= RESCUE_CHARS:
            break
    # An unfinished cursor would keep its snapshot, and the log could not be cut back.
    cursor.close()
    return found
