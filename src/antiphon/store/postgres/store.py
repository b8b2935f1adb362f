"""PostgresStore: jobs in a database that servers share. When a server dies, another one takes over its jobs."""

from __future__ import annotations

import builtins
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from antiphon.domain import errors
from antiphon.domain.job import Failure, Job, Result, State, Units
from antiphon.store import base, checks, rows
from antiphon.store.base import Idempotency, Webhook
from antiphon.store.cluster import ClusterChannel
from antiphon.store.postgres import connection, sql
from antiphon.store.postgres.cluster_channel import PostgresClusterChannel
from antiphon.store.postgres.connection import FOREVER, Connection, ConnectionPool
from antiphon.store.postgres.events import PostgresEvents
from antiphon.store.postgres.keys import PostgresKeys
from antiphon.store.postgres.orders import PostgresOrders
from antiphon.store.postgres.sql import SQL
from antiphon.store.postgres.voices import PostgresVoices

#: Jobs that `rescue` reads at a time, and rows that `prune` removes in one transaction.
RESCUE_JOBS = PRUNE = 500


class PostgresStore(PostgresEvents, PostgresVoices, PostgresKeys, PostgresOrders):
    """A `JobStore` that several servers use at the same time.

    Each server works on the jobs that it accepted, under a lease that it renews. When the lease ends, another server
    takes over the jobs. A change writes a token, by which a server whose connection was lost before the answer came
    sees that the change happened; so it can safely try again."""

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
        """`server`: the unique name of this server, the same after a restart. A guest, such as a command, has no lease
        and receives no messages."""
        self._clock, self._server = clock, server
        self._pool = ConnectionPool(url)
        self._channel = PostgresClusterChannel(url, self._pool, server, lease, on_fatal)
        self.cluster: ClusterChannel | None = None if guest else self._channel
        self._name = name_of(url)
        #: Whether the jobs that this server's previous process left are still to be rescued, and its endings announced.
        self._fresh = self._silent = True

    async def open(self) -> None:
        await self._pool.open()
        try:
            await sql.migrate(self._pool, self._name)
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
        checks.check_new(job)
        values = self._values(job)

        async def op(db: Connection, retried: bool) -> tuple[Job, bool]:
            stored = await _get(db, job.id, job.owner) if retried else None
            if stored is not None and stored.created_at == job.created_at:
                return job, True
            async with db.transaction():
                if idempotency is not None and not await self._keep_key(db, idempotency, job.id):
                    return await self._idempotent_job(db, idempotency), False
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

    async def _idempotent_job(self, db: Connection, key: Idempotency) -> Job:
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
        return await self._pool.run(lambda db, retried: self._find_key(db, idempotency))

    async def record(self, job: Job) -> None:
        checks.check_final(job)
        values = self._values(job)

        async def op(db: Connection, retried: bool) -> None:
            if not retried or await _get(db, job.id, job.owner) is None:
                await connection.execute(db, SQL["add"], values)

        await self._pool.run(op)

    async def start(self, id: str) -> int | None:
        values = {"id": id, "now": self._clock(), "server": self._server, "token": _token()}
        fence: int | None = await self._once("start", "started", values)
        return fence

    async def progress(self, id: str, fence: int, units: Units) -> bool:
        checks.check_units(units)
        return await self._pool.value(SQL["progress"], {"id": id, "fence": fence, **_counted(units)}) is not None

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
        values = {
            "id": id,
            "fence": fence,
            "state": state.value,
            "now": self._clock(),
            "result": result and rows.encode(result),
            "error": error and rows.encode(error),
            "token": _token(),
            **(_counted(units) if units else {"total": None, "done": None, "cached": None}),
        }
        return await self._once("finish", "finished", values) is not None

    async def release(self, id: str, fence: int, spend: bool) -> bool:
        values = {"id": id, "fence": fence, "back": 0 if spend else 1, "token": _token()}
        return await self._once("release", "released", values) is not None

    async def cancel(self, id: str, owner: str | None = None) -> tuple[Job, bool] | None:
        values = {"id": id, "owner": owner, "now": self._clock()}

        async def op(db: Connection, retried: bool) -> tuple[str | None, Job | None]:
            whose = await connection.one(db, SQL["cancel"], values)
            if whose is None and retried:
                # The first try may have cancelled it.
                whose = await connection.one(db, SQL["cancelled"], values)
            return whose, await _get(db, id, owner)

        whose, job = await self._pool.run(op)
        if whose not in (None, self._server):
            await self._channel.send({"kind": "cancelled", "job": id, "server": whose})
        return None if job is None else (job, whose == self._server)

    async def retry(self, id: str, owner: str | None = None) -> Job:
        values = {"id": id, "owner": owner, "server": self._server, "token": _token()}
        return await self._requeue("retry", values, checks.no_retry)

    async def requeue_succeeded(self, id: str, request: Mapping[str, Any], owner: str | None = None) -> Job:
        text = rows.encode(request)
        values = {"id": id, "owner": owner, "request": text, "server": self._server, "token": _token()}
        return await self._requeue("requeue_succeeded", values, checks.not_succeeded)

    async def _requeue(self, name: str, values: dict[str, Any], refusal: Callable[[Job], str]) -> Job:
        async def op(db: Connection, retried: bool) -> Job:
            changed = await connection.one(db, SQL[name], values)
            job = await _get(db, values["id"], values["owner"])
            if job is None:
                raise errors.NotFound(checks.no_job(values["id"]))
            if changed is None:
                raise errors.Conflict(refusal(job))
            return job

        return await self._pool.run(op)

    async def rescue(self) -> AsyncIterator[Job]:
        own, self._fresh = self._fresh, False
        values = {"server": self._server, "own": own, "token": _token(), "after": 0, "limit": RESCUE_JOBS}

        async def take(db: Connection, retried: bool) -> None:
            async with db.transaction():
                await connection.execute(db, SQL["take_over"], values)
                await connection.execute(db, SQL["take_over_webhooks"], values)

        await self._pool.run(take, patience=FOREVER)
        # Now no other server reads these jobs, so this waits for the database as long as it is away.
        while batch := await self._pool.rows(SQL["taken"], values, patience=FOREVER):
            for row in batch:
                yield rows.to_job(row)
            values["after"] = batch[-1][0]

    async def unannounced_endings(self, since: float, before: float) -> builtins.list[Job]:
        own, self._silent = self._silent, False
        values = {"since": since, "before": before, "slack": base.ENDING_SLACK, "server": self._server, "own": own}
        ended = await self._pool.rows(SQL["unannounced_endings"], values, patience=FOREVER)
        found = [*map(rows.to_job, ended)]
        return sorted(found, key=lambda job: job.finished_at or 0.0)

    async def _once(self, name: str, done: str, values: Any) -> Any:
        """Runs the statement `name`, a change that must not happen twice: after a lost answer the statement `done`
        first finds out whether the change happened. Waits for the database without a bound."""

        async def op(db: Connection, retried: bool) -> Any:
            if retried and (found := await connection.one(db, SQL[done], values)) is not None:
                return found
            return await connection.one(db, SQL[name], values)

        return await self._pool.run(op, patience=FOREVER)

    def _values(self, job: Job) -> dict[str, Any]:
        columns = rows.JOB.split(", ")[1:]
        return dict(zip(columns, rows.from_job(job), strict=True)) | {"server": self._server}

    # Questions

    async def get(self, id: str, owner: str | None = None) -> Job | None:
        return await self._pool.run(lambda db, retried: _get(db, id, owner))

    async def list(
        self, owner: str | None = None, states: Sequence[State] | None = None, after: str | None = None, limit: int = 50
    ) -> builtins.list[Job]:
        wanted = None if states is None else [state.value for state in states]
        values = {"owner": owner, "states": wanted, "after": after, "limit": limit}
        return [*map(rows.to_job, await self._pool.rows(SQL["list"], values))]

    async def counts(self) -> dict[State, int]:
        found = await self._pool.rows(SQL["counts"])
        return dict.fromkeys(State, 0) | {State(state): count for state, count in found}

    # Retention

    async def prune(self, before: float) -> builtins.list[str]:
        names: builtins.list[str] = []
        while removed := await self._removed("prune_jobs", before):
            names += filter(None, removed)
        oldest = await self._pool.value(SQL["oldest_kept_event"], {"before": before})
        while await self._removed("prune_events", oldest):
            pass
        while await self._removed("prune_keys", self._clock() - base.IDEMPOTENCY_SECONDS):
            pass
        await self._pool.rows(SQL["prune_hits"], {"minute": int(self._clock() // 60)})
        await self._pool.rows(SQL["prune_servers"])
        return names

    async def _removed(self, name: str, before: float) -> builtins.list[Any]:
        return [row[0] for row in await self._pool.rows(SQL[name], {"before": before, "limit": PRUNE})]

    async def get_value(self, key: str) -> Any:
        found = await self._pool.rows(SQL["get_value"], {"name": key})
        return rows.decode(found[0][0]) if found else None

    async def set_value(self, key: str, value: Any) -> None:
        await self._pool.rows(SQL["set_value"], {"name": key, "value": rows.encode(value)})

    async def set_default(self, key: str, value: Any) -> Any:
        await self._pool.rows(SQL["set_default"], {"name": key, "value": rows.encode(value)})
        return await self.get_value(key)


async def _get(db: Connection, id: str, owner: str | None) -> Job | None:
    found = await connection.execute(db, SQL["get"], {"id": id, "owner": owner})
    return rows.to_job(found[0]) if found else None


def _counted(units: Units) -> dict[str, int]:
    return {"total": units.total, "done": units.done, "cached": units.cached}


def _token() -> str:
    return secrets.token_hex(8)


def name_of(url: str) -> str:
    """The database's name, host and port, without credentials, for logs. Raises `InvalidRequest`."""
    try:
        parts = conninfo_to_dict(url)
    except Exception as e:
        raise errors.InvalidRequest("--store must be sqlite or postgresql://USER:PASSWORD@HOST:PORT/NAME") from e
    return f"{parts.get('dbname', '')}@{parts.get('host', 'localhost')}:{parts.get('port', 5432)}"
