"""ConnectionPool: runs operations on the database, and again when a connection was lost, for a bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg import errors as pg
from psycopg_pool import AsyncConnectionPool, PoolClosed

from antiphon.domain import errors

log = structlog.get_logger("antiphon.store")

T = TypeVar("T")
Row = tuple[Any, ...]
Connection: TypeAlias = AsyncConnection[Row]
#: Takes a connection, and whether this is another try: then the first one may have changed something, and only its
#: answer was lost.
Op = Callable[[Connection, bool], Awaitable[T]]

#: Seconds for which an operation is tried while the database is away. FOREVER: for work that cannot be refused.
PATIENCE, FOREVER = 10.0, float("inf")
#: The most connections, and seconds until another try for one that could not be opened.
CONNECTIONS, RECONNECT = 8, 3.0
#: Seconds between the tries.
PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
#: Seconds to tell clients while the database's disk is full.
FULL_RETRY = 5.0
#: With these a connection over a network that drops packets is lost within some ten seconds instead of hours.
KEEP_ALIVE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "antiphon",
}
#: Errors that may pass with another try: lost or refused connections, and transactions that collided.
_PASSING = (psycopg.OperationalError, psycopg.InterfaceError, pg.SerializationFailure, pg.DeadlockDetected)


async def connect(url: str) -> Connection:
    """A connection outside the pool; each statement is a transaction. Raises `psycopg.Error`."""
    connection: Connection = await AsyncConnection.connect(url, autocommit=True, **KEEP_ALIVE)
    return connection


class ConnectionPool:
    """Connections to one database. Used in one event loop."""

    def __init__(self, url: str) -> None:
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=CONNECTIONS,
            open=False,
            kwargs={"autocommit": True, **KEEP_ALIVE},
            timeout=RECONNECT,
            reconnect_timeout=RECONNECT,
            name="antiphon",
        )
        self._closed = asyncio.Event()
        self._away = False

    async def open(self) -> None:
        """Raises `StoreError` when the database cannot be reached."""
        await self._pool.open()
        try:
            await self._pool.wait(timeout=KEEP_ALIVE["connect_timeout"])
        except psycopg.Error as e:
            await self._pool.close()
            raise errors.StoreError(f"the database cannot be reached: {e}") from e

    async def close(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            with contextlib.suppress(psycopg.Error):
                await self._pool.close(timeout=RECONNECT)

    async def run(self, op: Op[T], *, patience: float = PATIENCE) -> T:
        """Returns what `op` returns. When the caller is cancelled, the operation still happens.

        Raises `StorageFull` when the database's disk is full, `StoreAway` after `patience` seconds, `StoreError`, and
        what `op` raises."""
        if self._closed.is_set():
            raise errors.StoreError("the job store is closed")
        work = asyncio.ensure_future(self._run(op, patience))
        # A cancelled caller does not read the error; asyncio would log it.
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(work)

    async def _run(self, op: Op[T], patience: float) -> T:
        began, tries = time.monotonic(), 0
        while True:
            try:
                async with self._pool.connection() as connection:
                    value = await op(connection, tries > 0)
                self._is_back()
                return value
            except pg.DiskFull as e:
                raise errors.StorageFull(retry_after=FULL_RETRY) from e
            except PoolClosed as e:
                raise errors.StoreError("the job store is closed") from e
            except _PASSING as e:
                self._is_away(e)
                tries += 1
                if time.monotonic() - began >= patience or self._closed.is_set():
                    raise errors.StoreAway(
                        f"the database does not answer ({type(e).__name__}: {e}); try again in a moment",
                        retry_after=RECONNECT,
                    ) from e
            except pg.UniqueViolation as e:
                raise errors.Conflict(f"there is one with that id already ({e.diag.constraint_name})") from e
            except psycopg.Error as e:
                raise errors.StoreError(f"the job store refused this: {e}") from e
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSES[min(tries, len(PAUSES)) - 1]):
                    await self._closed.wait()

    async def rows(self, sql: str, values: Any = None, *, patience: float = PATIENCE) -> list[Row]:
        """The rows of one statement that may be run twice."""
        return await self.run(lambda db, retried: execute(db, sql, values), patience=patience)

    async def value(self, sql: str, values: Any = None, *, patience: float = PATIENCE) -> Any:
        """The first value of the first row of one statement that may be run twice; None if there is no row."""
        return await self.run(lambda db, retried: one(db, sql, values), patience=patience)

    def _is_away(self, e: BaseException) -> None:
        if not self._away and isinstance(e, psycopg.OperationalError | psycopg.InterfaceError):
            self._away = True
            log.warning("the database does not answer; accepted work waits for it", error=str(e).strip())

    def _is_back(self) -> None:
        if self._away:
            self._away = False
            log.info("the database answers again")


async def execute(connection: Connection, sql: str, values: Any = None) -> list[Row]:
    """The rows of one statement; an empty list for a statement that returns none."""
    cursor = await connection.execute(sql, values)
    return await cursor.fetchall() if cursor.description else []


async def one(connection: Connection, sql: str, values: Any = None) -> Any:
    """The first value of the first row; None if there is no row."""
    found = await execute(connection, sql, values)
    return found[0][0] if found else None
