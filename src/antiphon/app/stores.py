"""Which job store the settings name, and what this server is called in it."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable

from antiphon.domain import errors
from antiphon.settings import Settings
from antiphon.store.base import JobStore
from antiphon.store.sqlite import SqliteStore


def make(
    settings: Settings, on_fatal: Callable[[BaseException], None] = lambda error: None, *, guest: bool = False
) -> JobStore:
    """The store, not yet open; a guest looks and changes but works on no job.

    Raises `InvalidRequest` if what it needs is not installed."""
    if settings.store == "sqlite":
        return SqliteStore(settings.database_path, on_fatal=on_fatal)
    try:
        from antiphon.store.postgres.store import PostgresStore
    except ModuleNotFoundError as e:
        raise errors.InvalidRequest(
            f"--store {settings.store.partition(':')[0]} needs {e.name}: pip install 'antiphon[postgres]'",
            param="store",
        ) from e
    name = "guest" if guest else server_name(settings)
    return PostgresStore(settings.store, name, lease=settings.lease, on_fatal=on_fatal, guest=guest)


def server_name(settings: Settings) -> str:
    """The same for the life of a data directory, so that a server that restarts finds its own work at once."""
    if settings.server_name is not None:
        return settings.server_name
    path = settings.data_dir / "server-name"
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        name = f"{socket.gethostname()[:40]}-{secrets.token_hex(3)}"
        path.write_text(name + "\n", "utf-8")
        return name
