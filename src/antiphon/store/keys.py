"""API keys and their use in SQLite."""

from __future__ import annotations

import builtins
from typing import Any

import apsw

from antiphon.domain import errors
from antiphon.domain.api_key import Key
from antiphon.store.sqlite_connections import SQL, SqliteConnections


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


def _row(k: Key) -> tuple[Any, ...]:
    return k.id, k.name, k.digest, k.priority, int(k.admin), k.quota, k.created_at, k.revoked_at


def _key(row: Any) -> Key:
    id, name, digest, priority, admin, quota, created_at, revoked_at = row
    return Key(id, name, digest, priority, bool(admin), quota, created_at, revoked_at)
