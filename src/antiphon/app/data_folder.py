"""Data folder: looked at before the server starts, made if it is new, and locked as long as the server runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import structlog

from antiphon.domain import errors
from antiphon.settings import Settings

log = structlog.get_logger("antiphon.data")

#: 2026-01-01 in seconds since the epoch. Antiphon did not exist before: a clock that is behind it was never set, and
#: would give jobs ids that sort before all others.
OLDEST_NOW = 1767225600.0
#: What the lock file says once there was a database.
HAD_DATABASE = "antiphon.db\n"
#: Names of what the server leaves in its folders: finished files, voices, recordings, folders of the cache.
_TRACES = {
    "output": re.compile(r"[a-z]+_[0-9a-z]{26}.*"),
    "voices": re.compile(r"[0-9a-f]{64}\.wav"),
    "uploads": re.compile(r"[0-9a-f]{64}\.pcm"),
    "cache": re.compile(r"[0-9a-f]{2}"),
}


class DataFolder:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock: IO[str] | None = None

    async def start(self) -> None:
        """Raises `FolderInUse` if another server uses the folder, and what `check` raises."""
        s = self._settings
        check(s)
        for path in (s.data_dir, s.output_path, s.cache_path, s.models_path):
            _make(path)
        self._lock = _lock(s.data_dir)

    def remember_database(self) -> None:
        """Called once the database is there: from now on a start without it is refused."""
        if self._lock is not None and self._settings.store == "sqlite":
            # On a full disk it is left out: the server starts all the same, and its files tell as much.
            with contextlib.suppress(OSError):
                self._lock.truncate(0)
                self._lock.write(HAD_DATABASE)
                self._lock.flush()

    async def stop(self) -> None:
        if self._lock is not None:
            self._lock.close()


class DatabaseMark:
    """The part after the store: the folder remembers that it has a database."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder

    async def start(self) -> None:
        self._folder.remember_database()

    async def stop(self) -> None:
        """The mark stays."""


def check(settings: Settings) -> None:
    """Looks at what is there and changes nothing. Raises `ClockWrong`, `FolderUnusable`, `DatabaseMissing`."""
    if (now := time.time()) < OLDEST_NOW:
        shown = time.strftime("%Y-%m-%d", time.gmtime(now))
        raise errors.ClockWrong(f"the clock of this machine says {shown}, which is long over; set it, then start again")
    s = settings
    _check_folder(s.data_dir)
    # A link would let whoever can replace it choose what the server gives out, overwrites and removes.
    for path in (s.output_path, s.cache_path, s.data_dir / "voices", s.data_dir / "uploads"):
        _check_no_link(path, "a folder")
        _check_folder(path)
    check_database(s)


def check_database(settings: Settings) -> None:
    """Raises `FolderUnusable` for a database that is no file, `DatabaseMissing` if it was there once and is gone."""
    if settings.store != "sqlite":
        return
    path = settings.database_path
    for file in (path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm"))):
        _check_no_link(file, "a file")
        if file.is_dir():
            raise errors.FolderUnusable(f"{file} is a folder where the database belongs; move it away")
        if file.exists() and not os.access(file, os.R_OK | os.W_OK, effective_ids=True):
            raise errors.FolderUnusable(
                f"{file} cannot be read and written by this user{_owner(file)}; let it do so, or name "
                "another --data-dir"
            )
    if settings.new_database or (path.exists() and path.stat().st_size):
        return
    if (trace := _trace(settings)) is not None:
        raise errors.DatabaseMissing(
            f"{settings.data_dir} was used before ({trace}), and its database {path.name} is gone or empty. Started "
            "without it, the server would have no jobs and no API keys, and be open to everybody. Put the database or "
            "a backup back; to go on without, start once with --new-database"
        )


def _trace(settings: Settings) -> str | None:
    """What shows that the folder was used before; None if nothing does."""
    try:
        if (settings.data_dir / "antiphon.lock").read_text("utf-8").startswith(HAD_DATABASE):
            return "a server has run in it"
    except (OSError, UnicodeDecodeError):
        pass
    for folder, pattern in _TRACES.items():
        if (name := next(_names(settings.data_dir / folder, pattern), None)) is not None:
            return f"there is {folder}/{name}"
    return None


def _names(folder: Path, pattern: re.Pattern[str]) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries if pattern.fullmatch(entry.name))
    except OSError:
        return


def _check_folder(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise errors.FolderUnusable(
            f"{path} is a file where a folder belongs; move it away, or name another --data-dir"
        )
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        read_only = os.statvfs(path).f_flag & os.ST_RDONLY
        why = " is on a disk that can only be read" if read_only else f" cannot be written by this user{_owner(path)}"
        raise errors.FolderUnusable(f"{path}{why}; make it writable for this user, or name another --data-dir")
    if path.stat().st_uid != os.geteuid():
        log.warning(
            "the folder belongs to another user, who cannot change what this server writes",
            folder=str(path), owner=_name(path.stat().st_uid), user=_name(os.geteuid()),
        )  # fmt: skip


def _check_no_link(path: Path, what: str) -> None:
    if path.is_symlink():
        raise errors.FolderUnusable(
            f"{path} is a symbolic link; it must be {what} itself. Move what it points to here, mount it here, or name "
            "the place with --data-dir"
        )


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as e:
        raise errors.FolderUnusable(f"{path} is a file where a folder belongs; move it away") from e


def _lock(folder: Path) -> IO[str]:
    path = folder / "antiphon.lock"
    _check_no_link(path, "a file")
    # Not truncated: it says whether there was a database.
    lock = path.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        lock.close()
        why = f"another Antiphon already uses {folder}; stop it, or give this one its own --data-dir"
        raise errors.FolderInUse(why) from e
    except OSError as e:
        lock.close()
        why = f"{path} cannot be locked: {e.strerror}; put --data-dir on a local disk"
        raise errors.FolderUnusable(why) from e
    return lock


def _owner(path: Path) -> str:
    return f" ({_name(os.geteuid())}); it belongs to {_name(path.stat().st_uid)}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
