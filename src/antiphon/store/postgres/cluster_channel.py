"""PostgresClusterChannel: leases of the servers that share a database, and messages between them (LISTEN and NOTIFY).

Source of the protocol: PostgreSQL's documentation of NOTIFY. A message has less than 8,000 bytes and reaches the
servers that listen at that moment. What no server may miss is in tables, which are read again after a lost connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import psycopg
import structlog

from antiphon.domain import errors
from antiphon.domain.event import Event
from antiphon.store import cluster, rows
from antiphon.store.postgres import connection, sql
from antiphon.store.postgres.connection import Connection, ConnectionPool
from antiphon.store.postgres.sql import SQL

log = structlog.get_logger("antiphon.store")

CHANNEL = "antiphon"
#: Bytes of a message; longer ones are not sent.
LONGEST = 7900
#: Seconds until another try for a lost connection, and seconds of silence after which the connection is tested.
PAUSE, SILENCE = 0.5, 5.0
#: Seconds of the window in which requests are counted.
MINUTE = 60.0


class PostgresClusterChannel(cluster.ClusterChannel):
    """A `ClusterChannel` over one database."""

    def __init__(
        self, url: str, pool: ConnectionPool, server: str, lease: float, on_fatal: Callable[[BaseException], None]
    ) -> None:
        self.server, self.slot, self.lease = server, 0, lease
        self._url, self._pool, self._on_fatal = url, pool, on_fatal
        self._life = 0
        self._on_message: Callable[[Mapping[str, Any]], None] = lambda message: None
        self._on_gap: Callable[[], None] = lambda: None
        self._tasks: list[asyncio.Task[None]] = []
        self._listening = asyncio.Event()

    async def open(self) -> None:
        """Joins the servers that are alive. Raises `StoreError`, and `Conflict` when every slot is taken."""

        async def join(db: Connection, retried: bool) -> tuple[int, int] | None:
            async with db.transaction():
                await connection.execute(db, "SELECT pg_advisory_xact_lock(%s)", (sql.LOCK,))
                values = {"server": self.server, "lease": self.lease, "slots": cluster.SLOTS}
                found = await connection.execute(db, SQL["join"], values)
                return (found[0][0], found[0][1]) if found else None

        try:
            joined = await self._pool.run(join)
        except errors.StoreError as e:
            if isinstance(e.__cause__, psycopg.errors.NotNullViolation):
                raise errors.Conflict(f"{cluster.SLOTS} servers share this database already; no more can join") from e
            raise
        assert joined is not None
        self._life, self.slot = joined
        background = {"lease": self._renew(), "listen": self._listen()}
        self._tasks = [asyncio.create_task(task, name=name) for name, task in background.items()]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        with contextlib.suppress(errors.AntiphonError):
            values = {"server": self.server, "life": self._life}
            await self._pool.rows(SQL["leave"], values, patience=1.0)
            await self.send({"kind": "left"})

    def listen(self, on_message: Callable[[Mapping[str, Any]], None], on_gap: Callable[[], None]) -> None:
        self._on_message, self._on_gap = on_message, on_gap

    async def listening(self) -> None:
        await self._listening.wait()

    async def send(self, message: Mapping[str, Any]) -> None:
        text = rows.encode({**message, "from": self.server, "slot": self.slot})
        if len(text.encode()) > LONGEST:
            log.debug("a message to the other servers is too long and was not sent", kind=message.get("kind"))
            return
        values = {"channel": CHANNEL, "message": text}
        try:
            await self._pool.rows(SQL["notify"], values, patience=1.0)
        except errors.StoreError as e:
            log.debug("a message did not reach the other servers", kind=message.get("kind"), error=e.message)

    async def events_between(self, slot: int, first: int, last: int) -> list[Event]:
        values = {"slot": slot, "slots": cluster.SLOTS, "first": first, "last": last}
        found = await self._pool.rows(SQL["events_between"], values)
        return [rows.to_event(row) for row in found]

    async def own_jobs(self, ids: list[str]) -> set[str]:
        values = {"ids": ids, "server": self.server}
        found = await self._pool.rows(SQL["own_jobs"], values)
        return {row[0] for row in found}

    async def servers(self) -> list[tuple[str, int, float]]:
        found = await self._pool.rows(SQL["servers"])
        return [(name, slot, float(left)) for name, slot, left in found]

    async def hit(self, name: str, per_minute: int) -> tuple[bool, int, float]:
        """Counts in a sliding window: the previous minute counts by the share of it that lies within the last 60 s."""
        now = time.time()
        minute, within = divmod(now, MINUTE)
        values = {"name": name, "minute": int(minute)}

        async def count(db: Connection, retried: bool) -> tuple[bool, int]:
            this, before = (await connection.execute(db, SQL["hit"], values))[0]
            used = this + before * (1 - within / MINUTE)
            if used > per_minute:
                await connection.execute(db, SQL["unhit"], values)
            return used <= per_minute, max(0, int(per_minute - used))

        allowed, left = await self._pool.run(count, patience=1.0)
        return allowed, left, MINUTE - within

    # Tasks

    async def _renew(self) -> None:
        """Renews the lease three times within its length. A newer process with this server's name ends this one."""
        values = {"server": self.server, "life": self._life, "lease": self.lease}
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(self.lease / 3)
            try:
                held = await self._pool.value(SQL["renew"], values, patience=self.lease / 3)
            except errors.StoreError as e:
                log.warning("the lease could not be renewed", error=e.message)
                continue
            if held is None:
                self._on_fatal(errors.Conflict(f"another server took the name {self.server!r}"))
                return
            if time.monotonic() - renewed > self.lease:
                # Other servers may have taken over jobs of this one.
                self._on_gap()
            renewed = time.monotonic()

    async def _listen(self) -> None:
        first = True
        while True:
            try:
                async with await connection.connect(self._url) as db:
                    await connection.execute(db, f"LISTEN {CHANNEL}")
                    self._listening.set()
                    if not first:
                        self._on_gap()
                    first = False
                    await self._hear(db)
            except psycopg.Error as e:
                self._listening.clear()
                log.debug("the connection for messages was lost", error=str(e).strip())
                await asyncio.sleep(PAUSE)

    async def _hear(self, db: Connection) -> None:
        while True:
            async for notice in db.notifies(timeout=SILENCE):
                message = msgspec.json.decode(notice.payload)
                if message.get("from") != self.server and message.get("to") in (None, self.server):
                    self._on_message(message)
            await connection.execute(db, "SELECT 1")
