"""Integrity: looks for damage in the SQLite database, within a bounded time at every start, wholly on demand."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec
import structlog

from antiphon.domain import errors
from antiphon.domain.job import Result

log = structlog.get_logger("antiphon.store")

#: Seconds that the check at a start may take.
SECONDS = 2.0
#: Instructions of SQLite's virtual machine between two looks at the clock: well below a millisecond.
STEPS = 10_000
#: The tables that may be large are checked last: keys, voices and pauses are few, and the server is wrong without them.
LARGE = ("jobs", "events")
#: Problems that a whole check lists.
LISTED = 20


def check_quickly(connection: apsw.Connection, path: Path, seconds: float = SECONDS) -> bool:
    """Checks table by table for at most `seconds`; returns whether all of it was checked. Raises `DatabaseDamaged`."""
    deadline = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)
    try:
        for table in sorted(_tables(connection), key=lambda name: (name in LARGE, name != LARGE[0])):
            quoted = table.replace('"', '""')
            for (said,) in connection.execute(f'PRAGMA quick_check("{quoted}")'):
                if said != "ok":
                    raise damaged(path, str(said))
    except apsw.InterruptError:
        log.info(
            "the database is large; the start has checked a part of it",
            seconds=seconds, whole="antiphon doctor --check",
        )  # fmt: skip
        return False
    finally:
        connection.set_progress_handler(None)
    return True


def problems(path: Path) -> list[str]:
    """Reads every page of the database, also while a server uses it; returns what is wrong with it, at most `LISTED`
    problems. Blocking, for minutes where the database has gigabytes."""
    try:
        with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            said = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({LISTED})") if row[0] != "ok"]
            return said + [
                f"a row of {table} refers to a row of {parent} that is not there"
                for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchall()[:LISTED]
            ]
    except apsw.Error as e:
        return [str(e)]


def finished(path: Path) -> Iterator[Result]:
    """The results of the jobs that have succeeded, of a database of any schema. Raises `DatabaseDamaged`."""
    decode = msgspec.json.Decoder(Result).decode
    try:
        with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            for (text,) in connection.execute("SELECT result FROM jobs WHERE state = 'succeeded'"):
                yield decode(text)
    except (apsw.Error, msgspec.MsgspecError) as e:
        raise damaged(path, str(e)) from e


def damaged(path: Path, said: str) -> errors.DatabaseDamaged:
    """The error for the operator."""
    # SQLite's first line may be no more than a heading: "*** in database main ***".
    why = next((line for line in said.splitlines() if not line.startswith("***")), said)
    return errors.DatabaseDamaged(
        f"the database {path} is damaged ({why[:200]}). Nothing was changed. Look with "
        "`antiphon doctor --check`, put the newest backup in its place, or save what can be read: "
        "sqlite3 antiphon.db .recover | sqlite3 saved.db"
    )


def _tables(connection: apsw.Connection) -> list[str]:
    names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    return [row[0] for row in connection.execute(names)]
