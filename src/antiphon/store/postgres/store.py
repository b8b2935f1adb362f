"""The job store in PostgreSQL: what the SQLite one answers, and work that goes over when its server dies."""

from __future__ import annotations

import builtins
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from antiphon.domain import errors
from antiphon.domain.event import Event
from antiphon.domain.job import Failure, Job, Result, State, Units
from antiphon.store import base, rows
from antiphon.store.base import Idempotency, Webhook
from antiphon.store.postgres import cluster_channel, connection
from antiphon.store.postgres.connection import FOREVER, Connection, ConnectionPool, Row
from antiphon.store.postgres.keys import PostgresKeys
from antiphon.store.postgres.voices import PostgresVoices

_JOB = (
    "seq, id, type, state, owner, priority, attempt, created_at, started_at, finished_at, "
    "units_total, units_done, units_cached, kept, error::text, result::text, request::text"
)
SQL = {name: text.replace("$JOB", _JOB) for name, text in cluster_channel.SQL.items()}

#: Jobs that `rescue` reads at a time, and rows that `prune` removes in one transaction.
RESCUE_JOBS = PRUNE = 500


class PostgresStore(PostgresVoices, PostgresKeys):
    """A `JobStore` in a database that others may use at the same time.

    Each server works on the jobs that it accepted, under a lease that it renews; when that ends, another takes them.
    A change whose answer was lost with its connection is known again by a token, so that trying again is safe."""

    def __init__(
        self,
        url: str,
        server: str,
        clock: Callable[[], float] = time.time,
        *,
        lease: float = 10.0,
        on_fatal: Callable[[BaseException], None] = lambda error: None,
        guest: bool = False,
    ) -> None:
        """`server`: what this one is called, the same after a restart, and no other's. A guest is no server: it has
        no lease and hears nothing."""
        self._clock, self._server = clock, server
        self._pool = ConnectionPool(url)
        self._channel = cluster_channel.PostgresClusterChannel(url, self._pool, server, lease, on_fatal)
        self.cluster: base.ClusterChannel | None = None if guest else self._channel
        self._name = name_of(url)
        #: Whether what an earlier life left is still to be taken up, and to be told of.
        self._fresh = self._silent = True

    async def open(self) -> None:
        await self._pool.open()
        try:
            await cluster_channel.migrate(self._pool, self._name)
            if self.cluster is not None:
                await self._channel.open()
        except BaseException:
            await self._pool.close()
            raise

    async def close(self) -> None:
        if self.cluster is not None:
            await self._channel.close()
        await self._pool.close()

    # Life of a job

    async def add(
        self, job: Job, *, idempotency: Idempotency | None = None, webhook: Webhook | None = None
    ) -> tuple[Job, bool]:
        base.check_new(job)
        values = self._values(job)

        async def op(db: Connection, again: bool) -> tuple[Job, bool]:
            if again and (kept := await _get(db, job.id, job.owner)) is not None and kept.created_at == job.created_at:
                return job, True
            async with db.transaction():
                if idempotency is not None and not await self._keep_key(db, idempotency, job.id):
                    return await self._known(db, idempotency), False
                await connection.execute(db, SQL["add"], values)
                if webhook is not None:
                    hook = {"id": webhook.id, "job": job.id, "url": webhook.url, "secret": webhook.secret}
                    await connection.execute(db, SQL["add_webhook"], hook | {"server": self._server})
            return job, True

        return await self._pool.run(op)

    async def _keep_key(self, db: Connection, key: Idempotency, job: str) -> bool:
        now = self._clock()
        values = {"owner": key.owner, "key": key.key, "digest": key.body_digest, "job": job, "now": now}
        await connection.execute(db, SQL["forget_key"], values | {"oldest": now - base.IDEMPOTENCY_SECONDS})
        return bool(await connection.execute(db, SQL["keep_key"], values))

    async def _known(self, db: Connection, key: Idempotency) -> Job:
        found = await self._find_key(db, key)
        if found is None:
            raise errors.Conflict("the job of this Idempotency-Key was just removed; send it again")
        return found

    async def _find_key(self, db: Connection, key: Idempotency) -> Job | None:
        values = {"owner": key.owner, "key": key.key, "oldest": self._clock() - base.IDEMPOTENCY_SECONDS}
        found = await connection.execute(db, SQL["find_key"], values)
        if not found:
            return None
        if found[0][0] != key.body_digest:
            raise errors.IdempotencyMismatch(param="Idempotency-Key")
        return await _get(db, found[0][1], None)

    async def find_idempotent(self, idempotency: Idempotency) -> Job | None:
        return await self._pool.run(lambda db, again: self._find_key(db, idempotency))

    async def record(self, job: Job) -> None:
        base.check_final(job)
        values = self._values(job)

        async def op(db: Connection, again: bool) -> None:
            if not again or await _get(db, job.id, job.owner) is None:
                await connection.execute(db, SQL["add"], values)

        await self._pool.run(op)

    async def start(self, id: str) -> int | None:
        values = {"id": id, "now": self._clock(), "server": self._server, "token": _token()}
        fence: int | None = await self._once("start", "started", values)
        return fence

    async def progress(self, id: str, attempt: int, units: Units) -> bool:
        base.check_units(units)
        return await self._change("progress", {"id": id, "fence": attempt, **_counted(units)}) is not None

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
        values = {
            "id": id,
            "fence": attempt,
            "state": state.value,
            "now": self._clock(),
            "result": result and rows.encode(result),
            "error": error and rows.encode(error),
            "token": _token(),
            **(_counted(units) if units else {"total": None, "done": None, "cached": None}),
        }
        return await self._once("finish", "finished", values) is not None

    async def release(self, id: str, attempt: int, spend: bool) -> bool:
        values = {"id": id, "fence": attempt, "back": 0 if spend else 1, "token": _token()}
        return await self._once("release", "released", values) is not None

    async def cancel(self, id: str, owner: str | None = None) -> tuple[Job, bool] | None:
        values = {"id": id, "owner": owner, "now": self._clock()}

        async def op(db: Connection, again: bool) -> tuple[str | None, Job | None]:
            whose = await connection.one(db, SQL["cancel"], values)
            if whose is None and again:
                # The answer that was lost may have said it.
                whose = await connection.one(db, SQL["cancelled"], values)
            return whose, await _get(db, id, owner)

        whose, job = await self._pool.run(op)
        if whose not in (None, self._server):
            await self._channel.tell({"kind": "cancelled", "job": id, "server": whose})
        return None if job is None else (job, whose == self._server)

    async def retry(self, id: str, owner: str | None = None) -> Job:
        values = {"id": id, "owner": owner, "server": self._server, "token": _token()}
        return await self._requeue("retry", values, base.no_retry)

    async def requeue_succeeded(self, id: str, request: Mapping[str, Any], owner: str | None = None) -> Job:
        text = rows.encode(request)
        values = {"id": id, "owner": owner, "request": text, "server": self._server, "token": _token()}
        return await self._requeue("requeue_succeeded", values, base.not_succeeded)

    async def _requeue(self, name: str, values: dict[str, Any], refusal: Callable[[Job], str]) -> Job:
        async def op(db: Connection, again: bool) -> Job:
            changed = await connection.one(db, SQL[name], values)
            job = await _get(db, values["id"], values["owner"])
            if job is None:
                raise errors.NotFound(base.no_job(values["id"]))
            if changed is None:
                raise errors.Conflict(refusal(job))
            return job

        return await self._pool.run(op)

    async def rescue(self) -> AsyncIterator[Job]:
        own, self._fresh = self._fresh, False
        values = {"server": self._server, "own": own, "token": _token(), "after": 0, "limit": RESCUE_JOBS}

        async def take(db: Connection, again: bool) -> None:
            async with db.transaction():
                await connection.execute(db, SQL["take_over"], values)
                await connection.execute(db, SQL["take_over_webhooks"], values)

        await self._pool.run(take, patience=FOREVER)
        # They are ours now, so that nobody else reads them: not even a long absence of the database may end this.
        while batch := await self._pool.run(
            lambda db, again: connection.execute(db, SQL["taken"], values), patience=FOREVER
        ):
            for row in batch:
                yield rows.to_job(row)
            values["after"] = batch[-1][0]

    async def unannounced_endings(self, since: float, before: float) -> builtins.list[Job]:
        own, self._silent = self._silent, False
        values = {"since": since, "before": before, "slack": base.ENDING_SLACK, "server": self._server, "own": own}
        ended = await self._pool.run(
            lambda db, again: connection.execute(db, SQL["unannounced_endings"], values), patience=FOREVER
        )
        found = [*map(rows.to_job, ended)]
        return sorted(found, key=lambda job: job.finished_at or 0.0)

    async def _change(self, name: str, values: Any) -> Any:
        return await self._pool.run(lambda db, again: connection.one(db, SQL[name], values))

    async def _once(self, name: str, done: str, values: Any) -> Any:
        """A change that must not happen twice: after a lost answer, first a look whether it has happened. It waits for
        the database as long as that takes, for there is nobody who could be told."""

        async def op(db: Connection, again: bool) -> Any:
            if again and (found := await connection.one(db, SQL[done], values)) is not None:
                return found
            return await connection.one(db, SQL[name], values)

        return await self._pool.run(op, patience=FOREVER)

    async def _rows(self, name: str, values: Any = None) -> builtins.list[Row]:
        return await self._pool.run(lambda db, again: connection.execute(db, SQL[name], values))

    def _values(self, job: Job) -> dict[str, Any]:
        return {
            "id": job.id,
            "type": job.type,
            "state": job.state.value,
            "owner": job.owner,
            "priority": job.priority,
            "attempt": job.attempt,
            "created_at": job.created_at,
            "started_at": job.started_at,
            "finished_at": job.finished_at,
            "kept": job.kept,
            "error": job.error and rows.encode(job.error),
            "result": job.result and rows.encode(job.result),
            "request": rows.encode(job.request),
            "server": self._server,
            **_counted(job.units),
        }

    # Questions

    async def get(self, id: str, owner: str | None = None) -> Job | None:
        return await self._pool.run(lambda db, again: _get(db, id, owner))

    async def list(
        self,
        owner: str | None = None,
        states: Sequence[State] | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> builtins.list[Job]:
        wanted = None if states is None else [state.value for state in states]
        values = {"owner": owner, "states": wanted, "after": after, "limit": limit}
        return [*map(rows.to_job, await self._rows("list", values))]

    async def counts(self) -> dict[State, int]:
        found = await self._rows("counts")
        return dict.fromkeys(State, 0) | {State(state): count for state, count in found}

    # Events

    async def append_events(self, events: Sequence[Event]) -> None:
        if not events:
            return
        values = [
            {"id": e.id, "type": e.type, "at": e.at, "job": e.job, "owner": e.owner, "data": rows.encode(e.data)}
            for e in events
        ]

        async def op(db: Connection, again: bool) -> None:
            async with db.transaction(), db.cursor() as cursor:
                await cursor.executemany(SQL["append_event_again" if again else "append_event"].encode(), values)

        await self._pool.run(op)
        ids = [event.id for event in events]
        await self._channel.tell({"kind": "events", "first": min(ids), "last": max(ids)})

    async def events_after(
        self, id: int, job: str | None = None, owner: str | None = None, limit: int = 1000
    ) -> builtins.list[Event]:
        values = {"id": id, "job": job, "owner": owner, "limit": limit}
        return [*map(rows.to_event, await self._rows("events_after" if job is None else "events_of_job", values))]

    async def last_event_id(self) -> int:
        found: int = await self._change("last_event", None)
        return found

    # Webhooks

    async def pending_webhooks(self) -> builtins.list[Webhook]:
        return [Webhook(*row) for row in await self._rows("pending_webhooks", {"server": self._server})]

    async def webhook_done(self, id: str) -> None:
        await self._rows("webhook_done", {"id": id})

    async def webhook_failed(self, id: str, next_at: float, error: str) -> None:
        await self._rows("webhook_failed", {"id": id, "next_at": next_at, "error": error})

    # Retention

    async def prune(self, before: float) -> builtins.list[str]:
        names: builtins.list[str] = []
        while removed := await self._removed("prune_jobs", before):
            names += filter(None, removed)
        oldest = await self._change("oldest_kept_event", {"before": before})
        while await self._removed("prune_events", oldest):
            pass
        while await self._removed("prune_keys", self._clock() - base.IDEMPOTENCY_SECONDS):
            pass
        await self._rows("prune_hits", {"minute": int(self._clock() // 60)})
        await self._rows("prune_servers")
        return names

    async def _removed(self, name: str, before: float) -> builtins.list[Any]:
        return [row[0] for row in await self._rows(name, {"before": before, "limit": PRUNE})]

    async def get_value(self, key: str) -> Any:
        found = await self._rows("get_value", {"name": key})
        return rows.decode(found[0][0]) if found else None

    async def set_value(self, key: str, value: Any) -> None:
        await self._rows("set_value", {"name": key, "value": rows.encode(value)})

    async def set_default(self, key: str, value: Any) -> Any:
        await self._rows("set_default", {"name": key, "value": rows.encode(value)})
        return await self.get_value(key)


async def _get(db: Connection, id: str, owner: str | None) -> Job | None:
    found = await connection.execute(db, SQL["get"], {"id": id, "owner": owner})
    return rows.to_job(found[0]) if found else None


def _counted(units: Units) -> dict[str, int]:
    return {"total": units.total, "done": units.done, "cached": units.cached}


def _token() -> str:
    return secrets.token_hex(8)


def name_of(url: str) -> str:
    """Where the database is, without what opens it: for people and logs. Raises `InvalidRequest`."""
    try:
        parts = conninfo_to_dict(url)
    except Exception as e:
        raise errors.InvalidRequest("--store must be sqlite or postgresql://USER:PASSWORD@HOST:PORT/NAME") from e
    return f"{parts.get('dbname', '')}@{parts.get('host', 'localhost')}:{parts.get('port', 5432)}"
