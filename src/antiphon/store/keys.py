"""API keys and their use in the SQLite store and in the store in memory."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import apsw

from antiphon.domain import errors
from antiphon.domain.key import Key
from antiphon.store.parts import SQL, MemoryState, SqliteConnections


def taken(name: str) -> errors.Conflict:
    return errors.Conflict(f"There is a key {name!r} already; revoke it, or choose another name")


class SqliteKeys(SqliteConnections):
    """Part of `SqliteStore`."""

    async def add_key(self, key: Key) -> None:
        def op(db: apsw.Connection) -> None:
            try:
                db.execute(SQL["add_key"], (*_row(key),))
            except apsw.ConstraintError:
                raise taken(key.name) from None

        await self._writer.run(op)

    async def keys(self) -> builtins.list[Key]:
        return [*map(_key, await self._rows("keys"))]

    async def revoke_key(self, id_or_name: str, at: float) -> Key | None:
        def op(db: apsw.Connection) -> Key | None:
            row = db.execute(SQL["revoke_key"], (id_or_name, at)).fetchone()
            return row and _key(row)

        return await self._writer.run(op)

    async def add_usage(self, key: str, day: str, seconds: float) -> None:
        await self._change("add_usage", key, day, seconds)

    async def usage(self, day: str) -> dict[str, float]:
        return {row[0]: row[1] for row in await self._rows("usage", day)}


class MemoryKeys(MemoryState):
    """Part of `MemoryStore`."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._api_keys: dict[str, Key] = {}
        self._usage: dict[tuple[str, str], float] = {}

    async def add_key(self, key: Key) -> None:
        self._check()
        for other in self._api_keys.values():
            same_name = other.name == key.name and other.revoked_at is None
            if same_name or other.id == key.id or other.digest == key.digest:
                raise taken(key.name)
        self._api_keys[key.id] = key

    async def keys(self) -> builtins.list[Key]:
        self._check()
        return sorted(self._api_keys.values(), key=lambda each: (each.created_at, each.id))

    async def revoke_key(self, id_or_name: str, at: float) -> Key | None:
        self._check()
        for key in self._api_keys.values():
            if id_or_name in (key.id, key.name) and key.revoked_at is None:
                gone = self._api_keys[key.id] = replace(key, revoked_at=at)
                return gone
        return None

    async def add_usage(self, key: str, day: str, seconds: float) -> None:
        self._check()
        self._usage[key, day] = self._usage.get((key, day), 0.0) + seconds

    async def usage(self, day: str) -> dict[str, float]:
        self._check()
        return {key: seconds for (key, on), seconds in self._usage.items() if on == day}


def _row(key: Key) -> tuple[Any, ...]:
    k = key
    return k.id, k.name, k.digest, k.priority, int(k.admin), k.quota, k.created_at, k.revoked_at


def _key(row: Any) -> Key:
    id, name, digest, priority, admin, quota, created_at, revoked_at = row
    return Key(id, name, digest, priority, bool(admin), quota, created_at, revoked_at)
