"""Reader: the thread that reads, over its own connection, so that a query never waits for a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from antiphon.domain import errors
from antiphon.store import connect

T = TypeVar("T")


class Reader:
    """Runs queries on its own thread. A query sees what was committed before `run` was called."""

    def __init__(
        self, path: Path, on_fatal: Callable[[BaseException], None] = lambda error: None, *, vfs: str | None = None
    ) -> None:
        """`on_fatal` is called in the event loop when the database turns out to be damaged."""
        self._on_fatal = on_fatal
        self._connection = connect.reader(path, vfs=vfs)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="antiphon-store-reader")
        self._closed = False

    async def run(self, question: Callable[[apsw.Connection], T]) -> T:
        if self._closed:
            raise errors.StoreError("the job store is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, question, self._connection)
        except connect.DAMAGE as e:
            self._on_fatal(e)
            raise errors.DatabaseDamaged from e
        except apsw.Error as e:
            raise errors.StoreError(f"the job store cannot be read: {e}") from e

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._pool.shutdown)
            self._connection.close()
