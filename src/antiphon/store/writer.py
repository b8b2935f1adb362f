"""Writer: the one thread that writes. It commits all waiting operations in one transaction (group commit).

Group commit makes durability cheap: an fsync costs the same for one job and for two hundred.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import apsw

from antiphon.domain import errors
from antiphon.store import connect

T = TypeVar("T")
Op = Callable[[apsw.Connection], Any]
Ask = tuple[Op, asyncio.Future[Any]]
#: A future and its result: a value, or an error.
Outcome = tuple[asyncio.Future[Any], Any, BaseException | None]

#: The most operations in one transaction.
GROUP = 256
#: Pages in the log at which it is copied into the database, and at which the copy waits for readers.
CHECKPOINT, CHECKPOINT_HARD = 1000, 8000
#: `retry_after` in seconds while the disk is full: the first try after space came back succeeds.
FULL_RETRY = 5.0
#: `retry_after` in seconds while another process holds the database's lock.
LOCK_RETRY = 1.0

_FSYNC = frozenset({apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC})
#: Errors that fail one group of operations and may pass. Every other error of the transaction ends the store.
_PASSING = (apsw.BusyError, apsw.LockedError, apsw.NoMemError, apsw.InterruptError)
#: Errors that no single operation caused: the whole transaction is rolled back.
_SHARED = (
    apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.NotADBError, apsw.ReadOnlyError, errors.DatabaseDamaged,
    *_PASSING,
)  # fmt: skip


class Writer:
    """Runs operations in groups on its own thread. Created and used in one event loop."""

    def __init__(self, connection: apsw.Connection, on_fatal: Callable[[BaseException], None]) -> None:
        """`on_fatal` is called once, in the event loop, when the database can no longer be trusted."""
        self._connection, self._on_fatal = connection, on_fatal
        self._loop = asyncio.get_running_loop()
        self._asked: SimpleQueue[Ask | None] = SimpleQueue()
        self._closed = False
        self._wal_pages = 0
        #: The error after which nothing is written any more.
        self.broken: BaseException | None = None
        connection.set_wal_hook(self._committed)
        self._thread = threading.Thread(target=self._work, name="antiphon-store-writer", daemon=True)
        self._thread.start()

    async def run(self, op: Callable[[apsw.Connection], T]) -> T:
        """Returns what `op` returned once its change is durable; raises what it raised, and then nothing changed.

        When the caller is cancelled, the operation still happens.
        """
        if self._closed:
            raise errors.StoreError("the job store is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._asked.put((op, future))
        return await future

    async def close(self) -> None:
        """Finishes the operations that were requested before."""
        if not self._closed:
            self._closed = True
            self._asked.put(None)
            await asyncio.to_thread(self._thread.join)

    # On the thread

    def _work(self) -> None:
        stop = False
        while not stop:
            group, stop = self._take()
            if group:
                self._resolve_soon(_refused(group, self._refusal) if self.broken else self._commit(group))
            if self.broken is None:
                self._checkpoint(last=stop)
        if self.broken is None:
            self._connection.close()
        else:
            connect.abandon(self._connection)

    def _take(self) -> tuple[list[Ask], bool]:
        """Waits for an operation and takes all others that wait. The second value: this is the last group."""
        ask = self._asked.get()
        group: list[Ask] = []
        while ask is not None:
            group.append(ask)
            if len(group) == GROUP:
                return group, False
            try:
                ask = self._asked.get_nowait()
            except Empty:
                return group, False
        return group, True

    def _commit(self, group: list[Ask]) -> list[Outcome]:
        execute = self._connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            outcomes = [self._try(op, future) for op, future in group]
            execute("COMMIT")
        except Exception as e:
            return _refused(group, self._give_up(e))
        return outcomes

    def _try(self, op: Op, future: asyncio.Future[Any]) -> Outcome:
        """Runs one operation inside a savepoint, so that its failure does not affect the others."""
        execute = self._connection.execute
        execute("SAVEPOINT op")
        try:
            value = op(self._connection)
        except _SHARED:
            raise
        except Exception as e:
            execute("ROLLBACK TO op")
            execute("RELEASE op")
            return future, None, _translated(e)
        execute("RELEASE op")
        return future, value, None

    def _give_up(self, e: Exception) -> Callable[[], errors.AntiphonError]:
        """Rolls the group back; returns what creates the error of each caller."""
        full = self._is_full(e)
        fatal = not full and not isinstance(e, _PASSING)
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except Exception as second:
            fatal, e = True, second
        if fatal:
            self._break(e)
            return self._refusal
        if full:
            return partial(errors.StorageFull, retry_after=FULL_RETRY)
        return partial(errors.StoreAway, f"the job store is held up: {e}; nothing was changed", retry_after=LOCK_RETRY)

    def _break(self, e: Exception) -> None:
        """Ends all writing: after a failed fsync the kernel may have dropped the pages, and another try would seem to
        succeed."""
        self.broken = e
        self._call(self._on_fatal, e)

    def _refusal(self) -> errors.StoreFailed:
        if isinstance(self.broken, connect.DAMAGE):
            return errors.DatabaseDamaged()
        return errors.StoreFailed(f"the job store failed and the server has to stop: {self.broken!r}")

    def _is_full(self, e: Exception) -> bool:
        """Whether the disk is full: SQLite reports `full` for its writes, and an I/O error for files that it maps."""
        if isinstance(e, apsw.FullError):
            return True
        if not isinstance(e, apsw.IOError) or getattr(e, "extendedresult", 0) in _FSYNC:
            return False
        return self._connection.system_errno in connect.NO_SPACE

    def _committed(self, _: apsw.Connection, __: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self, last: bool) -> None:
        """Copies the log into the database. Runs after the callers have their results, so that none waits."""
        if self._wal_pages < CHECKPOINT and not last:
            return
        mode = apsw.SQLITE_CHECKPOINT_PASSIVE
        if last or self._wal_pages >= CHECKPOINT_HARD:
            mode = apsw.SQLITE_CHECKPOINT_TRUNCATE
        try:
            pages, copied = self._connection.wal_checkpoint(mode=mode)
            if pages == copied:
                self._wal_pages = 0
        except Exception as e:
            # A full disk or a long query only delays it: every change is safe in the log.
            if not self._is_full(e) and not isinstance(e, _PASSING):
                self._break(e)

    def _resolve_soon(self, outcomes: list[Outcome]) -> None:
        self._call(_resolve, outcomes)

    def _call(self, function: Callable[..., None], *args: object) -> None:
        # The loop may be closed although the store is not; then no caller waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)


def _refused(group: list[Ask], make: Callable[[], Exception]) -> list[Outcome]:
    """The same outcome for all, each with its own error: a shared exception would collect all their tracebacks."""
    return [(future, None, make()) for _, future in group]


def _resolve(outcomes: list[Outcome]) -> None:
    for future, value, error in outcomes:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)


def _translated(e: Exception) -> Exception:
    """An operation's own error; an error of SQLite becomes a `StoreError` or `Conflict`."""
    if not isinstance(e, apsw.Error):
        return e
    if getattr(e, "extendedresult", 0) in (apsw.SQLITE_CONSTRAINT_UNIQUE, apsw.SQLITE_CONSTRAINT_PRIMARYKEY):
        translated: errors.AntiphonError = errors.Conflict(f"there is one with that id already ({e})")
    else:
        translated = errors.StoreError(f"the job store refused this: {e}")
    translated.__cause__ = e
    return translated
