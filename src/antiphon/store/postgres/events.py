"""Events and pending webhooks in PostgreSQL."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from antiphon.domain.event import Event
from antiphon.store import rows
from antiphon.store.base import Webhook
from antiphon.store.postgres.cluster_channel import PostgresClusterChannel
from antiphon.store.postgres.connection import Connection, ConnectionPool
from antiphon.store.postgres.sql import SQL

#: The first try may have stored the events although its answer was lost.
_AGAIN = " ON CONFLICT (id) DO NOTHING"


class PostgresEvents:
    """Part of `PostgresStore`."""

    _pool: ConnectionPool
    _channel: PostgresClusterChannel
    _server: str

    async def append_events(self, events: Sequence[Event]) -> None:
        if not events:
            return
        values = [
            {
                "id": e.id,
                "type": e.type,
                "at": e.at,
                "job": e.job,
                "owner": e.owner,
                "data": rows.encode(e.data),
                "server": self._server,
            }
            for e in events
        ]

        async def op(db: Connection, retried: bool) -> None:
            async with db.transaction(), db.cursor() as cursor:
                await cursor.executemany((SQL["append_event"] + (_AGAIN if retried else "")).encode(), values)

        await self._pool.run(op)
        ids = [event.id for event in events]
        await self._channel.send({"kind": "events", "first": min(ids), "last": max(ids)})

    async def events_after(
        self, id: int, job: str | None = None, owner: str | None = None, limit: int = 1000
    ) -> builtins.list[Event]:
        values = {"id": id, "job": job, "owner": owner, "limit": limit}
        name = "events_after" if job is None else "events_of_job"
        return [*map(rows.to_event, await self._pool.rows(SQL[name], values))]

    async def last_event_id(self) -> int:
        found: int = await self._pool.value(SQL["last_event"])
        return found

    async def pending_webhooks(self) -> builtins.list[Webhook]:
        return [Webhook(*row) for row in await self._pool.rows(SQL["pending_webhooks"], {"server": self._server})]

    async def webhook_done(self, id: str) -> None:
        await self._pool.rows(SQL["webhook_done"], {"id": id})

    async def webhook_failed(self, id: str, next_at: float, error: str) -> None:
        await self._pool.rows(SQL["webhook_failed"], {"id": id, "next_at": next_at, "error": error})
