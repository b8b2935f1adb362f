"""Uploaded voices in PostgreSQL."""

from __future__ import annotations

import builtins

from antiphon.domain.voice import Reference
from antiphon.store import rows
from antiphon.store.postgres import connection
from antiphon.store.postgres.connection import Connection, ConnectionPool
from antiphon.store.postgres.sql import SQL
from antiphon.store.voices import taken


class PostgresVoices:
    """Part of `PostgresStore`."""

    _pool: ConnectionPool

    async def add_voice(self, reference: Reference) -> None:
        async def op(db: Connection, retried: bool) -> None:
            known = await _find(db, reference.owner, reference.name)
            if retried and known == reference:
                return
            if known is not None:
                raise taken(reference)
            await connection.execute(db, SQL["add_voice"], rows.from_reference(reference))

        await self._pool.run(op)

    async def voices(self, owner: str) -> builtins.list[Reference]:
        found = await self._pool.rows(SQL["voices"], {"owner": owner})
        return [*map(rows.to_reference, found)]

    async def voice(self, owner: str, id_or_name: str) -> Reference | None:
        return await self._pool.run(lambda db, retried: _find(db, owner, id_or_name))

    async def remove_voice(self, owner: str, id_or_name: str) -> Reference | None:
        async def op(db: Connection, retried: bool) -> Reference | None:
            found = await _find(db, owner, id_or_name)
            if found is not None:
                await connection.execute(db, SQL["remove_voice"], {"id": found.id})
            return found

        return await self._pool.run(op)

    async def digest_used(self, digest: str) -> bool:
        return await self._pool.value(SQL["digest_used"], {"digest": digest}) is not None


async def _find(db: Connection, owner: str, id_or_name: str) -> Reference | None:
    found = await connection.execute(db, SQL["voice"], {"owner": owner, "name": id_or_name})
    return rows.to_reference(found[0]) if found else None
