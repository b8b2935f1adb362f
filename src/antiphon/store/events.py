"""Events in the SQLite store and in the store in memory."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Sequence

from antiphon.domain import errors
from antiphon.domain.event import Event
from antiphon.store import rows
from antiphon.store.parts import MemoryState, SqliteConnections


class SqliteEvents(SqliteConnections):
    """Part of `SqliteStore`."""

    async def append_events(self, events: Sequence[Event]) -> None:
        if events:
            await self._change("append_events", rows.encode(events))

    async def events_after(
        self, id: int, job: str | None = None, owner: str | None = None, limit: int = 1000
    ) -> builtins.list[Event]:
        name, which = ("events_after", ()) if job is None else ("events_of_job", (job,))
        return [*map(rows.to_event, await self._rows(name, id, owner, limit, *which))]

    async def last_event_id(self) -> int:
        found: int = (await self._rows("last_event"))[0][0]
        return found


class MemoryEvents(MemoryState):
    """Part of `MemoryStore`."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._events: dict[int, Event] = {}

    async def append_events(self, events: Sequence[Event]) -> None:
        self._check()
        ids = [event.id for event in events]
        if len(set(ids)) != len(ids) or not self._events.keys().isdisjoint(ids):
            raise errors.Conflict("there is an event with that id already")
        self._events.update((event.id, rows.copy_event(event)) for event in events)

    async def events_after(
        self, id: int, job: str | None = None, owner: str | None = None, limit: int = 1000
    ) -> builtins.list[Event]:
        self._check()
        found = [
            event
            for event in sorted(self._events.values(), key=lambda event: event.id)
            if event.id > id
            and (job is None or event.job == job)
            and (owner is None or event.owner is None or event.owner == owner)
        ]
        return found[:limit]

    async def last_event_id(self) -> int:
        self._check()
        return max(self._events, default=0)
