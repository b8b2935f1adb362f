"""Connect: opens the SQLite database with durable commits and brings its schema up to date."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path
from typing import Literal

import apsw

from antiphon.domain import errors
from antiphon.store import integrity, queries

#: Numbers of the system's errors that say that there is no space.
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
Synchronous = Literal["FULL", "NORMAL"]

#: Errors that say that the file is not what was written to it.
DAMAGE = (apsw.CorruptError, apsw.NotADBError, errors.DatabaseDamaged)
#: Milliseconds to wait for a lock of another process, such as an operator's sqlite3 shell.
BUSY_MS = 5000
#: Bytes to which the write-ahead log is shortened once it has been copied into the database.
WAL_KEPT = 16 * 1024 * 1024
#: Bytes of pages that each connection keeps in memory. Ids grow with time, so that new rows lie together; a larger
#: cache was not faster when measured, and a long-running server fills it.
PAGE_CACHE = 1024 * 1024


def writer(path: Path, *, vfs: str | None = None, synchronous: Synchronous = "FULL") -> apsw.Connection:
    """The connection that writes. Raises `SchemaTooNew` and `DatabaseDamaged` and leaves the file unchanged; raises
    `StorageFull`, `FolderUnusable` or `StoreError` for what keeps it from being opened."""
    try:
        check_version(path, vfs)
        connection = apsw.Connection(str(path), vfs=vfs)
    except apsw.Error as e:
        raise _cannot_open(path, e) from e
    try:
        _configure(connection)
        # Before anything is written: a migration would copy the damage.
        integrity.check_quickly(connection, path)
        if connection.pragma("journal_mode", "wal") != "wal":
            raise errors.StoreError(f"{path} cannot have a write-ahead log; put --data-dir on a local disk")
        # FULL syncs the log with every commit. NORMAL loses acknowledged commits in a power cut.
        connection.pragma("synchronous", synchronous)
        connection.pragma("journal_size_limit", WAL_KEPT)
        # The writer makes the checkpoints: SQLite's automatic ones ignore errors, even a failed fsync.
        connection.wal_autocheckpoint(0)
        # Migrations rebuild tables, and dropping one would delete the rows that refer to it.
        connection.pragma("foreign_keys", False)
        _migrate(connection)
        connection.pragma("foreign_keys", True)
        # The previous process may have ended because an fsync failed, with pages in the kernel that never reached
        # the disk. Copying the log into the database before anything is added makes the recovered changes durable.
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.Error as e:
        refusal = _cannot_open(path, e, connection.system_errno)
        abandon(connection)
        raise refusal from e
    except BaseException:
        abandon(connection)
        raise
    return connection


def reader(path: Path, *, vfs: str | None = None) -> apsw.Connection:
    """A connection that only reads and makes no checkpoint when it closes. Raises `StoreError`."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs)
    except apsw.Error as e:
        raise _cannot_open(path, e) from e
    _configure(connection)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def abandon(connection: apsw.Connection) -> None:
    """Closes without the usual checkpoint: after a failed fsync there must be none."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close()


def _cannot_open(path: Path, e: apsw.Error, system_errno: int = 0) -> errors.AntiphonError:
    """What keeps the database from being opened, and what to do."""
    if isinstance(e, DAMAGE):
        return integrity.damaged(path, str(e))
    if isinstance(e, apsw.FullError) or system_errno in NO_SPACE:
        return errors.StorageFull(f"the disk of {path} is full: free some space, then start again")
    if isinstance(e, apsw.CantOpenError | apsw.ReadOnlyError | apsw.PermissionsError):
        return errors.FolderUnusable(
            f"cannot open the job store {path}: {e}; it and its folder must be writable for this user"
        )
    if isinstance(e, apsw.BusyError | apsw.LockedError):
        return errors.StoreError(f"cannot open the job store {path}: another program has locked it; end that program")
    return errors.StoreError(f"cannot open the job store {path}: {e}")


def _configure(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("cache_size", -(PAGE_CACHE // 1024))
    connection.pragma("temp_store", "memory")


def check_version(path: Path, vfs: str | None = None) -> None:
    """Raises `SchemaTooNew`. Reads the version without writing; the usual way to open a database could write."""
    if not path.exists():
        return
    uri = path.absolute().as_uri()
    if not path.with_name(path.name + "-wal").exists():
        # Without it even a connection that only reads creates a log.
        uri += "?immutable=1"
    connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, vfs=vfs)
    try:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        version, known = _version(connection), len(queries.migrations())
    finally:
        connection.close()
    if version > known:
        raise errors.SchemaTooNew(
            f"{path} has schema {version}, and this Antiphon knows none above {known}. "
            "Upgrade Antiphon, or use another --data-dir."
        )


def _version(connection: apsw.Connection) -> int:
    return int(connection.pragma("user_version"))


def _migrate(connection: apsw.Connection) -> None:
    """Applies the missing migrations, each in one transaction with its number: a crash leaves it done or not begun."""
    for number, script in queries.migrations():
        if _version(connection) < number:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.execute(script)
                connection.pragma("user_version", number)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


def any_key(path: Path) -> bool:
    """Whether the database has an API key; False if there is no database yet. Raises `DatabaseDamaged`."""
    if not path.exists():
        return False
    try:
        with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            return connection.execute("SELECT 1 FROM keys LIMIT 1").get is not None
    except DAMAGE as e:
        raise integrity.damaged(path, str(e)) from e
    except apsw.Error:
        return False
