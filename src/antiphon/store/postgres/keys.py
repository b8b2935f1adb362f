"""API keys and their use in PostgreSQL."""

from __future__ import annotations

import builtins

from antiphon.domain import errors
from antiphon.domain.api_key import Key
from antiphon.store.keys import taken
from antiphon.store.postgres import connection
from antiphon.store.postgres.connection import Connection, ConnectionPool
from antiphon.store.postgres.sql import SQL


class PostgresKeys:
    """Part of `PostgresStore`."""

    _pool: ConnectionPool

    async def add_key(self, key: Key) -> None:
        k = key
        values = (k.id, k.name, k.digest, k.priority, k.admin, k.quota, k.created_at, k.revoked_at)

        async def op(db: Connection, retried: bool) -> None:
            if retried and key in [Key(*row) for row in await connection.execute(db, SQL["keys"])]:
                return
            await connection.execute(db, SQL["add_key"], values)

        try:
            await self._pool.run(op)
        except errors.Conflict:
            raise taken(key.name) from None

    async def keys(self) -> builtins.list[Key]:
        return [Key(*row) for row in await self._pool.rows(SQL["keys"])]

    async def revoke_key(self, id_or_name: str, at: float) -> Key | None:
        values = {"name": id_or_name, "at": at}
        found = await self._pool.rows(SQL["revoke_key"], values)
        return Key(*found[0]) if found else None

    async def add_usage(self, key: str, day: str, seconds: float) -> None:
        # After a lost answer the seconds may be counted twice: the error is at most one flush, and on the safe side.
        values = {"key": key, "day": day, "seconds": seconds}
        await self._pool.rows(SQL["add_usage"], values)

    async def usage(self, day: str) -> dict[str, float]:
        return {row[0]: row[1] for row in await self._pool.rows(SQL["usage"], {"day": day})}
