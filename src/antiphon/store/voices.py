"""Uploaded voices in SQLite."""

from __future__ import annotations

import builtins

import apsw

from antiphon.domain import errors
from antiphon.domain.voice import Reference
from antiphon.store import rows
from antiphon.store.sqlite_connections import SQL, SqliteConnections


def taken(reference: Reference) -> errors.Conflict:
    return errors.Conflict(f"You have a voice {reference.name!r} already; delete it, or choose another name")


class SqliteVoices(SqliteConnections):
    """Part of `SqliteStore`."""

    async def add_voice(self, reference: Reference) -> None:
        def op(db: apsw.Connection) -> None:
            if db.execute(SQL["voice"], (reference.owner, reference.name)).fetchone():
                raise taken(reference)
            db.execute(SQL["add_voice"], rows.from_reference(reference))

        await self._writer.run(op)

    async def voices(self, owner: str) -> builtins.list[Reference]:
        return await self._read(rows.to_reference, "voices", owner)

    async def voice(self, owner: str, id_or_name: str) -> Reference | None:
        return await self._reader.run(lambda db: _find(db, owner, id_or_name))

    async def remove_voice(self, owner: str, id_or_name: str) -> Reference | None:
        def op(db: apsw.Connection) -> Reference | None:
            found = _find(db, owner, id_or_name)
            if found is not None:
                db.execute(SQL["remove_voice"], (found.id,))
            return found

        return await self._writer.run(op)

    async def digest_used(self, digest: str) -> bool:
        return bool(await self._rows("digest_used", digest))


def _find(db: apsw.Connection, owner: str, id_or_name: str) -> Reference | None:
    row = db.execute(SQL["voice"], (owner, id_or_name)).fetchone()
    return row and rows.to_reference(row)
