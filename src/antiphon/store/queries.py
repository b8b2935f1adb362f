"""SQL files: statements by name, and migrations in their order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_MIGRATION = re.compile(r"^(\d{4})_\w+\.sql$")


def load(package: str = __package__ or "", **columns: str) -> Mapping[str, str]:
    """The statements of a package's `queries.sql` by name. `$JOB` in a statement stands for the columns `JOB`.

    Callers keep the result: SQLite and PostgreSQL find a prepared statement again by its text."""
    text = (resources.files(package) / "queries.sql").read_text("utf-8")
    for key, listed in columns.items():
        text = text.replace(f"${key}", listed)
    _, *parts = _NAME.split(text)
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError("queries.sql names a statement twice")
    return {name: _strip(body) for name, body in zip(names, bodies, strict=True)}


def migrations(package: str = __package__ or "") -> list[tuple[int, str]]:
    """(number, script) of every file in a package's `migrations/`, from 1 without a gap."""
    folder = resources.files(package) / "migrations"
    found = sorted((int(m[1]), f) for f in folder.iterdir() if (m := _MIGRATION.match(f.name)))
    if [number for number, _ in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations are not numbered 1, 2, 3 …: {[f.name for _, f in found]}")
    return [(number, f.read_text("utf-8")) for number, f in found]


def _strip(body: str) -> str:
    return "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
