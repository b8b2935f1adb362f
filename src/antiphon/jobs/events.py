"""Job events: kept in the store for replays, and corrected for those who watch a job that waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from antiphon.bus import Bus
from antiphon.concurrency.tasks import TaskSet
from antiphon.domain import errors
from antiphon.domain.event import Event
from antiphon.domain.job import State
from antiphon.jobs.lifecycle import JobLifecycle
from antiphon.store.base import JobStore

#: Seconds between writes.
WRITE = 0.2
#: Events that wait for space on a full disk, or for a store that is away.
MAX_WAITING = 20_000
#: Seconds between two corrections of the place in line of a job that a client watches.
CORRECT = 1.0
#: Events that are read at a time for one replay: what each reader holds that does not read on.
PAGE = 32


class EventJournal:
    """Writes the bus's events of durable jobs to the store, in batches. Used in one event loop."""

    def __init__(self, bus: Bus, store: JobStore, lifecycle: JobLifecycle) -> None:
        self._bus, self._store, self._lifecycle = bus, store, lifecycle
        self._unwritten: list[Event] = []
        self._writing = asyncio.Lock()
        self._tasks = TaskSet("antiphon.events")

    async def start(self) -> None:
        """Ids go on from those of the previous process, and differ from those of other servers."""
        if (cluster := self._store.cluster) is not None:
            self._bus.number(cluster.slot)
        self._bus.start_after(await self._store.last_event_id())
        self._bus.listen(self._on_event)
        self._tasks.spawn(self._write(), "write events")
        self._tasks.spawn(self._correct_places(), "correct places")

    async def stop(self) -> None:
        await self._tasks.stop()
        await self.flush()

    async def flush(self) -> None:
        """Everything published so far is in the store when this returns, also what another call is writing."""
        async with self._writing:
            if self._unwritten:
                batch, self._unwritten = self._unwritten, []
                try:
                    await self._store.append_events(batch)
                except (errors.StorageFull, errors.StoreError):
                    # They wait for space, or the database, as jobs do, but not without end: the newest are kept.
                    self._unwritten = (batch + self._unwritten)[-MAX_WAITING:]

    async def past(self, after: int, job: str | None, owner: str | None) -> AsyncGenerator[list[Event]]:
        """Pages of the events with a greater id than `after`, of a job or of all that `owner` may see, oldest first,
        up to the newest. Each page is read when it is asked for: from memory if it reaches back that far, else from the
        store."""
        while page := await self._page(after, job, owner):
            yield page
            after = page[-1].id

    async def _page(self, after: int, job: str | None, owner: str | None) -> list[Event]:
        if (remembered := self._bus.after(after, PAGE, job=job, owner=owner)) is not None:
            return remembered
        page = await self._store.events_after(after, job=job, owner=owner, limit=PAGE)
        if len(page) == PAGE:
            return page
        # It seems to be the last one: only now what is not written yet matters.
        await self.flush()
        return await self._store.events_after(after, job=job, owner=owner, limit=PAGE)

    def _on_event(self, event: Event) -> None:
        if event.type == "job.progress":
            return  # True for a second; a replay is better off without.
        active = self._lifecycle.active.get(event.job or "")
        if event.job is not None and (active is None or active.durable):
            self._unwritten.append(event)

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(WRITE)
            await self.flush()

    async def _correct_places(self) -> None:
        """Tells those who watch a waiting job its place again: others came, went, or took longer than predicted."""
        while True:
            await asyncio.sleep(CORRECT)
            for job_id in self._bus.watched():
                active = self._lifecycle.active.get(job_id)
                if active is not None and active.state is State.QUEUED:
                    self._lifecycle.announce(active, "job.progress")
