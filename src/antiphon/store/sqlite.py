"""SqliteStore: jobs in one SQLite file. A change is on disk before its caller goes on."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import apsw

from antiphon.domain import errors
from antiphon.domain.event import Event
from antiphon.domain.job import Failure, Job, Result, State, Units
from antiphon.store import base, checks, rows
from antiphon.store.base import Idempotency, Webhook
from antiphon.store.cluster import ClusterChannel
from antiphon.store.keys import SqliteKeys
from antiphon.store.orders import SqliteOrders
from antiphon.store.sqlite_connections import SQL
from antiphon.store.voices import SqliteVoices

#: Jobs and characters of their requests that `rescue` reads at a time: whichever bound is reached first.
RESCUE_JOBS, RESCUE_CHARS = 500, 4 * 1024 * 1024
#: Rows that `prune` removes in one transaction, so that other changes are not kept waiting.
PRUNE = 500


class SqliteStore(SqliteVoices, SqliteKeys, SqliteOrders):
    """A `JobStore` in one file (and its `-wal` and `-shm` while it is open)."""

    cluster: ClusterChannel | None = None

    # Life of a job

    async def add(
        self, job: Job, *, idempotency: Idempotency | None = None, webhook: Webhook | None = None
    ) -> tuple[Job, bool]:
        checks.check_new(job)

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
        """The job of this key. Raises `IdempotencyMismatch` if its request had another body."""
        oldest = self._clock() - base.IDEMPOTENCY_SECONDS
        found = db.execute(SQL["find_key"], (idempotency.owner, idempotency.key, oldest)).fetchone()
        if found is None:
            return None
        if found[0] != idempotency.body_digest:
            raise errors.IdempotencyMismatch(param="Idempotency-Key")
        return _get(db, found[1], None)

    async def record(self, job: Job) -> None:
        checks.check_final(job)
        await self._writer.run(lambda db: db.execute(SQL["add"], rows.from_job(job)).get)

    async def start(self, id: str) -> int | None:
        fence: int | None = await self._change("start", id, self._clock())
        return fence

    async def progress(self, id: str, fence: int, units: Units) -> bool:
        checks.check_units(units)
        return await self._change("progress", id, fence, units.total, units.done, units.cached) is not None

    async def finish(
        self,
        id: str,
        fence: int,
        state: State,
        result: Result | None = None,
        error: Failure | None = None,
        units: Units | None = None,
    ) -> bool:
        checks.check_ending(state, result, error)
        if units is not None:
            checks.check_units(units)
        counted = (units.total, units.done, units.cached) if units else (None, None, None)
        ended = (result and rows.encode(result), error and rows.encode(error))
        values = (id, fence, state.value, self._clock(), *ended, *counted)
        return await self._change("finish", *values) is not None

    async def release(self, id: str, fence: int, spend: bool) -> bool:
        return await self._change("release", id, fence, 0 if spend else 1) is not None

    async def cancel(self, id: str, owner: str | None = None) -> tuple[Job, bool] | None:
        now = self._clock()

        def op(db: apsw.Connection) -> tuple[Job, bool] | None:
            changed = db.execute(SQL["cancel"], (id, owner, now)).get
            job = _get(db, id, owner)
            return None if job is None else (job, changed is not None)

        return await self._writer.run(op)

    async def retry(self, id: str, owner: str | None = None) -> Job:
        return await self._requeue("retry", (id, owner), checks.no_retry)

    async def requeue_succeeded(self, id: str, request: Mapping[str, Any], owner: str | None = None) -> Job:
        return await self._requeue("requeue_succeeded", (id, owner, rows.encode(request)), checks.not_succeeded)

    async def _requeue(self, name: str, values: tuple[Any, ...], refusal: Callable[[Job], str]) -> Job:
        id, owner = values[:2]

        def op(db: apsw.Connection) -> Job:
            changed = db.execute(SQL[name], values).get
            job = _get(db, id, owner)
            if job is None:
                raise errors.NotFound(checks.no_job(id))
            if changed is None:
                raise errors.Conflict(refusal(job))
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
            for seq, job in batch:  # noqa: B007 - the next batch begins after the last job
                yield job

    async def unannounced_endings(self, since: float, before: float) -> builtins.list[Job]:
        return await self._read(rows.to_job, "unannounced_endings", since, before, base.ENDING_SLACK)

    # Questions

    async def get(self, id: str, owner: str | None = None) -> Job | None:
        return await self._reader.run(lambda db: _get(db, id, owner))

    async def list(
        self, owner: str | None = None, states: Sequence[State] | None = None, after: str | None = None, limit: int = 50
    ) -> builtins.list[Job]:
        name, which = ("list", ()) if owner is None else ("list_of_owner", (owner,))
        values = (after, None if states is None else rows.encode(states), limit, *which)
        return await self._read(rows.to_job, name, *values)

    async def counts(self) -> dict[State, int]:
        return dict.fromkeys(State, 0) | {State(state): count for state, count in await self._rows("counts")}

    # Events

    async def append_events(self, events: Sequence[Event]) -> None:
        if events:
            await self._change("append_events", rows.encode(events))

    async def events_after(
        self, id: int, job: str | None = None, owner: str | None = None, limit: int = 1000
    ) -> builtins.list[Event]:
        name, which = ("events_after", ()) if job is None else ("events_of_job", (job,))
        return await self._read(rows.to_event, name, id, owner, limit, *which)

    async def last_event_id(self) -> int:
        found: int = (await self._rows("last_event"))[0][0]
        return found

    # Webhooks

    async def pending_webhooks(self) -> builtins.list[Webhook]:
        return [Webhook(*row) for row in await self._rows("pending_webhooks")]

    async def webhook_done(self, id: str) -> None:
        await self._change("webhook_done", id)

    async def webhook_failed(self, id: str, next_at: float, error: str) -> None:
        await self._change("webhook_failed", id, next_at, error)

    # Retention

    async def prune(self, before: float) -> builtins.list[str]:
        names: builtins.list[str] = []
        while removed := await self._removed("prune_jobs", before):
            names += filter(None, removed)
        oldest = (await self._rows("oldest_kept_event", before))[0][0]
        while await self._removed("prune_events", oldest):
            pass
        expired = self._clock() - base.IDEMPOTENCY_SECONDS
        while await self._removed("prune_keys", expired):
            pass
        return names

    async def _removed(self, name: str, bound: float) -> builtins.list[Any]:
        return await self._writer.run(lambda db: [row[0] for row in db.execute(SQL[name], (bound, PRUNE))])

    async def get_value(self, key: str) -> Any:
        found = await self._read(rows.to_value, "get_value", key)
        return found[0] if found else None

    async def set_value(self, key: str, value: Any) -> None:
        await self._change("set_value", key, rows.encode(value))

    async def set_default(self, key: str, value: Any) -> Any:
        def op(db: apsw.Connection) -> Any:
            db.execute(SQL["set_default"], (key, rows.encode(value)))
            return rows.decode(db.execute(SQL["get_value"], (key,)).get)

        return await self._writer.run(op)


def _get(db: apsw.Connection, id: str, owner: str | None) -> Job | None:
    row = db.execute(SQL["get"], (id, owner)).fetchone()
    return row and rows.to_job(row)


def _queued(db: apsw.Connection, after: int, last: int) -> builtins.list[tuple[int, Job]]:
    """The next queued jobs with their numbers: a bounded batch, at least one job if there is any."""
    found: builtins.list[tuple[int, Job]] = []
    chars = 0
    cursor = db.execute(SQL["queued_after"], (after, last))
    for row in cursor:
        found.append((row[0], rows.to_job(row)))
        chars += len(row[-1])
        if len(found) >= RESCUE_JOBS or chars >= RESCUE_CHARS:
            break
    # An unfinished cursor would keep its snapshot, and the log could not be shortened.
    cursor.close()
    return found
