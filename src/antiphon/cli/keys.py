"""`antiphon keys`: creates, lists and revokes API keys in the store. A running server follows within a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from antiphon import auth
from antiphon.app import data_folder, stores
from antiphon.domain import errors
from antiphon.domain.job import Priority
from antiphon.settings import Settings
from antiphon.store.base import JobStore

T = TypeVar("T")


def create(where: Settings, name: str, priority: Priority, *, admin: bool, quota: float | None) -> None:
    key, token = auth.make(name, priority, admin=admin, quota=quota)
    _with_store(where, lambda store: store.add_key(key))
    what = f"class {priority}" + (", admin" if admin else "") + (f", {quota:g} s of audio a day" if quota else "")
    print(f"{name} ({what}). This is the only time that the key is shown:")  # noqa: T201
    print(token)  # noqa: T201


def show(where: Settings) -> None:
    found = _with_store(where, lambda store: store.keys())
    used = _with_store(where, lambda store: store.usage(auth.today()))
    if not found:
        print("There are no keys: the server is open to this machine, and to nobody else.")  # noqa: T201
        return
    table = Table("id", "name", "class", "admin", "audio today", "made", "revoked", box=None)
    for key in found:
        audio = f"{used.get(key.id, 0.0):.0f} s" + (f" of {key.quota:.0f}" if key.quota else "")
        made, revoked = _day(key.created_at), _day(key.revoked_at) if key.revoked_at else ""
        table.add_row(key.id, key.name, key.priority, "yes" if key.admin else "", audio, made, revoked)
    Console(markup=False).print(table)


def revoke(where: Settings, name: str) -> None:
    gone = _with_store(where, lambda store: store.revoke_key(name, time.time()))
    if gone is None:
        raise errors.NotFound(f"there is no living key {name!r}; `antiphon keys list` shows them")
    print(f"{gone.name} opens nothing any more.")  # noqa: T201


def _with_store(where: Settings, ask: Callable[[JobStore], Awaitable[T]]) -> T:
    async def run() -> T:
        data_folder.check_database(where)
        where.data_dir.mkdir(parents=True, exist_ok=True)
        store = stores.job_store(where, guest=True)
        await store.open()
        try:
            return await ask(store)
        finally:
            await store.close()

    return asyncio.run(run())


def _day(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M")
