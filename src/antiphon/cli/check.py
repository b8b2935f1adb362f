"""`antiphon doctor --check`: reads all that the data directory keeps, and compares it with its digests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from antiphon.app import data_folder
from antiphon.cache import Files
from antiphon.domain import errors
from antiphon.files import store
from antiphon.settings import Settings
from antiphon.store import connect, integrity

Say = Callable[[str], None]


def main(settings: Settings, say: Say) -> None:
    """Prints one line for each kind of data. Raises `DatabaseDamaged`, `SchemaTooNew`; `AntiphonError` for
    damaged files."""
    data_folder.check(settings)
    wrong: list[str] = []
    if settings.store != "sqlite":
        say("database: PostgreSQL checks itself (amcheck)")
    elif not settings.database_path.exists():
        say("database: there is none yet")
    else:
        if problems := integrity.problems(settings.database_path):
            say("database: damaged")
            for problem in problems:
                say(f"  {problem}")
            raise integrity.damaged(settings.database_path, problems[0])
        say("database: sound")
        connect.check_version(settings.database_path)
        wrong += _results(settings, say)
    wrong += _voices(settings.data_dir / "voices", say)
    _cache(settings.cache_path, say)
    if wrong:
        raise errors.AntiphonError(f"{len(wrong)} files are not what was stored, first {wrong[0]}; restore them")


def _results(settings: Settings, say: Say) -> list[str]:
    """Compares finished files with the digests in their jobs; returns the names of those that differ."""
    good = gone = 0
    wrong: list[str] = []
    results = (result for result in integrity.finished(settings.database_path) if result.name)
    for name, digest in (each for result in results for each in store.files(result)):
        path = settings.output_path / name
        if not path.exists():
            gone += 1
        elif path.is_symlink() or _digest(path) != digest:
            wrong.append(f"output/{name}")
        else:
            good += 1
    _print(say, "finished files", good, wrong, f", {gone} removed since" if gone else "")
    return wrong


def _voices(folder: Path, say: Say) -> list[str]:
    """Compares the recordings of voices with their names, which are their digests."""
    good, wrong = 0, list[str]()
    for path in sorted(folder.glob("*.wav")):
        if path.is_symlink() or _digest(path) != path.stem:
            wrong.append(f"voices/{path.name}")
        else:
            good += 1
    _print(say, "voices", good, wrong)
    return wrong


def _cache(folder: Path, say: Say) -> None:
    """A damaged entry is noticed when it is read, and computed again: it is no error."""
    good, wrong = Files(folder).check()
    _print(say, "cache", good, wrong, "; what is damaged there is computed again" if wrong else "")


def _print(say: Say, what: str, good: int, wrong: list[str], more: str = "") -> None:
    say(f"{what}: {good} sound, {len(wrong)} damaged{more}")
    for name in wrong[: integrity.LISTED]:
        say(f"  {name}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
