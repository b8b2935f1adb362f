"""Uploaded voices in the SQLite store and in the store in memory."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable

import apsw

from antiphon.domain import errors
from antiphon.domain.voice import Reference
from antiphon.store import rows
from antiphon.store.parts import SQL, MemoryState, SqliteConnections


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
        return [*map(rows.to_reference, await self._rows("voices", owner))]

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


class MemoryVoices(MemoryState):
    """Part of `MemoryStore`."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._references: dict[str, Reference] = {}

    async def add_voice(self, reference: Reference) -> None:
        self._check()
        if _among(self._references, reference.owner, reference.name):
            raise taken(reference)
        if reference.id in self._references:
            raise errors.Conflict(f"there is a voice {reference.id!r} already")
        self._references[reference.id] = reference

    async def voices(self, owner: str) -> builtins.list[Reference]:
        self._check()
        found = [each for each in self._references.values() if each.owner == owner]
        return sorted(found, key=lambda each: (each.created_at, each.id))

    async def voice(self, owner: str, id_or_name: str) -> Reference | None:
        self._check()
        return _among(self._references, owner, id_or_name)

    async def remove_voice(self, owner: str, id_or_name: str) -> Reference | None:
        self._check()
        found = _among(self._references, owner, id_or_name)
        return found and self._references.pop(found.id)

    async def digest_used(self, digest: str) -> bool:
        self._check()
        return any(each.digest == digest for each in self._references.values())


def _find(db: apsw.Connection, owner: str, id_or_name: str) -> Reference | None:
    row = db.execute(SQL["voice"], (owner, id_or_name)).fetchone()
    return row and rows.to_reference(row)


def _among(references: dict[str, Reference], owner: str, id_or_name: str) -> Reference | None:
    by_id = references.get(id_or_name)
    if by_id is not None and by_id.owner == owner:
        return by_id
    return next((each for each in references.values() if each.owner == owner and each.name == id_or_name), None)
