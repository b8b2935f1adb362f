"""Backup: copies a data directory consistently while a server writes to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw

from antiphon.domain import errors

#: Pages that are copied at a time, to bound a step's memory. The server's commits never wait for a backup.
PAGES = 1000
#: Names within a data directory.
DATABASE, VOICES, OUTPUT = "antiphon.db", "voices", "output"


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy contains."""

    jobs: int
    files: int
    bytes: int


def copy(data: Path, to: Path, *, output: bool = False) -> Copied:
    """Copies the database, the voices and, if asked, the finished files of `data` into the new folder `to`.

    The copy of the database is consistent, by SQLite's online backup (https://sqlite.org/backup.html). The files are
    copied after it: those that the database names have their final names and never change. The copy has a temporary
    name until it is complete and checked. Raises `InvalidRequest` for a wrong folder, `StoreError` for a broken copy.
    """
    if not (data / DATABASE).is_file():
        raise errors.InvalidRequest(f"{data} has no {DATABASE}; give the --data-dir of the server", param="data_dir")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise errors.InvalidRequest(f"{to} exists already; a backup is made into a new or empty folder", param="to")
    part = to.with_name(f".{to.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o700)
    try:
        jobs = _database(data / DATABASE, part / DATABASE)
        folders = [VOICES, OUTPUT] if output else [VOICES]
        files = [_file(path, part / folder) for folder in folders for path in _plain(data / folder)]
        _sync(part)
        if to.exists():
            to.rmdir()
        os.replace(part, to)
        _sync(to.parent)
    except apsw.Error as e:
        raise errors.StoreError(f"cannot copy {data / DATABASE}: {e}") from e
    finally:
        shutil.rmtree(part, ignore_errors=True)
    copied = [nbytes for nbytes in files if nbytes is not None]
    return Copied(jobs, len(copied), sum(copied) + (to / DATABASE).stat().st_size)


def _database(source: Path, target: Path) -> int:
    """Copies a snapshot of the database and checks the copy; returns its number of jobs."""
    reads = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    writes = apsw.Connection(str(target))
    try:
        reads.set_busy_timeout(5000)
        reads.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        # One read transaction: otherwise every commit would restart the copy.
        reads.execute("BEGIN; SELECT 1 FROM sqlite_schema").get  # noqa: B018 - the first read takes the snapshot
        with writes.backup("main", reads, "main") as backup:
            while not backup.done:
                backup.step(PAGES)
        reads.execute("COMMIT")
        # Without a log the copy is one file that an operator can move.
        writes.pragma("journal_mode", "delete")
        said = writes.pragma("integrity_check")
        if said != "ok":
            raise errors.StoreError(f"the copy of {source} is not sound: {said}")
        jobs: int = writes.execute("SELECT count(*) FROM jobs").get
        return jobs
    finally:
        writes.close()
        reads.close()


def _plain(folder: Path) -> Iterator[Path]:
    """The files with final names: no links, and no files that are still being written."""
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                yield path


def _file(path: Path, folder: Path) -> int | None:
    """Copies one file and returns its bytes; None if it was removed meanwhile, such as the result of an old job."""
    folder.mkdir(exist_ok=True)
    target = folder / path.name
    try:
        shutil.copy2(path, target)
    except FileNotFoundError:
        target.unlink(missing_ok=True)
        return None
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return target.stat().st_size


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
