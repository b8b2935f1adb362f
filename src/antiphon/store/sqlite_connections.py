"""SqliteConnections: one connection that writes and one that reads; what each part of the SQLite store is built on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from antiphon.domain import errors
from antiphon.store import connect, queries, rows
from antiphon.store.reader import Reader
from antiphon.store.writer import Writer

T = TypeVar("T")
SQL = queries.load(JOB=rows.JOB, VOICE=rows.VOICE)


class SqliteConnections:
    """One connection that writes and one that reads, each on its own thread."""

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
        self._threads: tuple[Writer, Reader] | None = None

    async def open(self) -> None:
        connection = await asyncio.to_thread(connect.writer, self._path, vfs=self._vfs, synchronous=self._synchronous)
        try:
            reader = await asyncio.to_thread(Reader, self._path, self._on_fatal, vfs=self._vfs)
        except BaseException:
            connect.abandon(connection)
            raise
        self._threads = Writer(connection, self._on_fatal), reader

    async def close(self) -> None:
        if self._threads is not None:
            # The reader first: the last connection to close copies the log into the database and removes it.
            await self._reader.close()
            await self._writer.close()

    @property
    def broken(self) -> BaseException | None:
        """The error after which nothing is written any more; None while the store works."""
        return self._writer.broken if self._threads else None

    async def _change(self, name: str, *values: Any) -> Any:
        """Runs one statement that changes something; the first value that it returns, None if no row was changed."""
        return await self._writer.run(lambda db: db.execute(SQL[name], values).get)

    async def _rows(self, name: str, *values: Any) -> list[rows.Row]:
        """The rows that one statement finds."""
        return await self._reader.run(lambda db: db.execute(SQL[name], values).fetchall())

    async def _read(self, convert: Callable[[rows.Row], T], name: str, *values: Any) -> list[T]:
        """What the rows mean that one statement finds."""
        return await self._reader.run(lambda db: [*map(convert, db.execute(SQL[name], values))])

    @property
    def _writer(self) -> Writer:
        return self._opened()[0]

    @property
    def _reader(self) -> Reader:
        return self._opened()[1]

    def _opened(self) -> tuple[Writer, Reader]:
        if self._threads is None:
            raise errors.StoreError("the job store is not open")
        return self._threads
