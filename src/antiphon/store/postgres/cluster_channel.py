"""Servers that share a database: each one's lease on its work, and what they tell each other (LISTEN and NOTIFY).

Source of the protocol: PostgreSQL's documentation of NOTIFY; a message has less than 8,000 bytes and is heard by who
listens just then. What must not be missed is in tables, and is looked for again after a lost connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import psycopg
import structlog

from antiphon.domain import errors
from antiphon.domain.event import Event
from antiphon.store import base, queries, rows
from antiphon.store.postgres import connection
from antiphon.store.postgres.connection import Connection, ConnectionPool

SQL = queries.load("antiphon.store.postgres")
log = structlog.get_logger("antiphon.store")

CHANNEL = "antiphon"
#: Key of the advisory lock under which servers join and schemas are changed.
LOCK = 0x616E7469
#: Bytes of a message; longer ones are not sent.
LONGEST = 7900
#: Seconds until a lost connection is tried for again, and of silence after which it is asked whether it lives.
PAUSE, SILENCE = 0.5, 5.0
#: What a migration says of the versions that can work beside it.
_OLDEST = re.compile(r"^-- oldest: (\d+)$", re.MULTILINE)
#: Weight of the minute before in a moving window.
MINUTE = 60.0


class PostgresClusterChannel(base.ClusterChannel):
    """A `ClusterChannel` over one database."""

    def __init__(
        self, url: str, pool: ConnectionPool, server: str, lease: float, on_fatal: Callable[[BaseException], None]
    ) -> None:
        self.server = server
        self.slot = 0
        self.lease = lease
        self._url, self._pool, self._on_fatal = url, pool, on_fatal
        self._life = 0
        self._heard: Callable[[Mapping[str, Any]], None] = lambda message: None
        self._missed: Callable[[], None] = lambda: None
        self._tasks: list[asyncio.Task[None]] = []
        self._listening = asyncio.Event()

    async def open(self) -> None:
        """Joins the living. Raises `StoreError`, `Conflict` when there is no place left."""

        async def join(db: Connection, again: bool) -> tuple[int, int] | None:
            async with db.transaction():
                await connection.execute(db, "SELECT pg_advisory_xact_lock(%s)", (LOCK,))
                values = {"server": self.server, "lease": self.lease, "slots": base.SLOTS}
                found = await connection.execute(db, SQL["join"], values)
                return (found[0][0], found[0][1]) if found else None

        try:
            joined = await self._pool.run(join)
        except errors.StoreError as e:
            if isinstance(e.__cause__, psycopg.errors.NotNullViolation):
                raise errors.Conflict(
                    f"{base.SLOTS} servers share this database already; there is no more place"
                ) from e
            raise
        assert joined is not None
        self._life, self.slot = joined
        self._tasks = [
            asyncio.create_task(self._renew(), name="lease"),
            asyncio.create_task(self._listen(), name="listen"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        with contextlib.suppress(errors.AntiphonError):
            values = {"server": self.server, "life": self._life}
            await self._pool.run(lambda db, again: connection.execute(db, SQL["leave"], values), patience=1.0)
            await self.tell({"kind": "left"})

    def listen(self, heard: Callable[[Mapping[str, Any]], None], missed: Callable[[], None]) -> None:
        self._heard, self._missed = heard, missed

    async def listening(self) -> None:
        await self._listening.wait()

    async def tell(self, message: Mapping[str, Any]) -> None:
        text = rows.encode({**message, "from": self.server, "slot": self.slot})
        if len(text.encode()) > LONGEST:
            log.debug("a message to other servers is too long and not sent", kind=message.get("kind"))
            return
        values = {"channel": CHANNEL, "message": text}
        try:
            await self._pool.run(lambda db, again: connection.execute(db, SQL["notify"], values), patience=1.0)
        except errors.StoreError as e:
            log.debug("the other servers were not told", kind=message.get("kind"), error=e.message)

    async def between(self, slot: int, first: int, last: int) -> list[Event]:
        values = {"slot": slot, "slots": base.SLOTS, "first": first, "last": last}
        found = await self._pool.run(lambda db, again: connection.execute(db, SQL["events_between"], values))
        return [rows.to_event(row) for row in found]

    async def ours(self, ids: list[str]) -> set[str]:
        values = {"ids": ids, "server": self.server}
        found = await self._pool.run(lambda db, again: connection.execute(db, SQL["ours"], values))
        return {row[0] for row in found}

    async def servers(self) -> list[tuple[str, int, float]]:
        found = await self._pool.run(lambda db, again: connection.execute(db, SQL["servers"]))
        return [(name, slot, float(left)) for name, slot, left in found]

    async def hit(self, name: str, per_minute: int) -> tuple[bool, int, float]:
        """A window that moves by weighing the minute before with what is still of it in the last sixty seconds."""
        now = time.time()
        minute, within = divmod(now, MINUTE)
        values = {"name": name, "minute": int(minute)}

        async def count(db: Connection, again: bool) -> tuple[bool, int]:
            this, before = (await connection.execute(db, SQL["hit"], values))[0]
            used = this + before * (1 - within / MINUTE)
            if used > per_minute:
                await connection.execute(db, SQL["unhit"], values)
            return used <= per_minute, max(0, int(per_minute - used))

        allowed, left = await self._pool.run(count, patience=1.0)
        return allowed, left, MINUTE - within

    # Tasks

    async def _renew(self) -> None:
        """Three times in a lease; a name that somebody else took ends this server."""
        values = {"server": self.server, "life": self._life, "lease": self.lease}
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(self.lease / 3)
            try:
                held = await self._pool.run(
                    lambda db, again: connection.one(db, SQL["renew"], values), patience=self.lease / 3
                )
            except errors.StoreError as e:
                log.warning("the lease could not be renewed", error=e.message)
                continue
            if held is None:
                self._on_fatal(errors.Conflict(f"another server took the name {self.server!r}"))
                return
            if time.monotonic() - renewed > self.lease:
                # Others may have taken what was ours.
                self._missed()
            renewed = time.monotonic()

    async def _listen(self) -> None:
        first = True
        while True:
            try:
                async with await connection.connect(self._url) as db:
                    await connection.execute(db, f"LISTEN {CHANNEL}")
                    self._listening.set()
                    if not first:
                        self._missed()
                    first = False
                    await self._hear(db)
            except psycopg.Error as e:
                self._listening.clear()
                log.debug("the connection that listens was lost", error=str(e).strip())
                await asyncio.sleep(PAUSE)

    async def _hear(self, db: Connection) -> None:
        while True:
            async for notice in db.notifies(timeout=SILENCE):
                message = msgspec.json.decode(notice.payload)
                if message.get("from") != self.server and message.get("to") in (None, self.server):
                    self._heard(message)
            await connection.execute(db, "SELECT 1")


async def migrate(pool: ConnectionPool, name: str) -> None:
    """Brings the schema up to date, one server at a time. Raises `SchemaTooNew` and changes nothing.

    A migration adds only what the version before can do without, so that two versions work side by side while servers
    are replaced one by one, and one of the older that restarts meanwhile is let in. One that cannot be so says
    `-- oldest: N`, the oldest schema whose servers may go on."""
    known = queries.migrations("antiphon.store.postgres")

    async def steps(db: Connection, again: bool) -> None:
        async with db.transaction():
            await connection.execute(db, "SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            await connection.execute(db, "CREATE TABLE IF NOT EXISTS schema_version (version integer, oldest integer)")
            found = await connection.execute(
                db, "SELECT version, oldest FROM schema_version ORDER BY version DESC LIMIT 1"
            )
            version, oldest = found[0] if found else (0, 0)
            if oldest > len(known):
                raise errors.SchemaTooNew(
                    f"the database of {name} has schema {version}, which servers use that know {oldest} at least; this "
                    f"Antiphon knows none above {len(known)}. Upgrade Antiphon, or use another database."
                )
            for number, script in known[version:]:
                await connection.execute(db, script)
                said = _OLDEST.search(script)
                oldest = int(said[1]) if said else max(oldest, number - 1)
                await connection.execute(db, "INSERT INTO schema_version VALUES (%s, %s)", (number, oldest))

    await pool.run(steps)
