"""Writing behind: what the files do not say yet, and the one task that makes them say it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import structlog

from antiphon.cache.entry import Entry
from antiphon.cache.files import Files

log = structlog.get_logger("antiphon.cache")

#: Entries that are written by one call of a thread.
BATCH = 16

#: Runs a blocking function in a thread.
Run = Callable[..., Coroutine[Any, Any, Any]]
#: Hears of each entry that was tried: key, size of its file or what went wrong, seconds since the epoch.
OnWritten = Callable[[str, int | Exception, float], None]


@dataclass(slots=True, eq=False)
class Change:
    """What is to become of a file: an entry is written, None removes it."""

    entry: Entry | None
    waiters: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return 0 if self.entry is None else len(self.entry.payload)


class WriteBehind:
    """Changes reach each file in the order in which they were asked; the last word on a key wins."""

    def __init__(self, files: Files, run: Run, clock: Callable[[], float], on_written: OnWritten) -> None:
        self._files, self._run, self._clock, self._on_written = files, run, clock, on_written
        self._changes: dict[str, Change] = {}
        self._touched: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None
        #: Payload that waits to be written.
        self.bytes = 0

    def __contains__(self, key: str) -> bool:
        """Whether anything is still to happen to this file."""
        return key in self._changes

    def entry(self, key: str) -> Entry | None:
        """The entry that waits to be written."""
        change = self._changes.get(key)
        return change.entry if change is not None else None

    def write(self, key: str, entry: Entry) -> Change:
        return self._ask(key, Change(entry))

    def remove(self, key: str) -> Change:
        return self._ask(key, Change(None))

    def touch(self, key: str, used_at: float) -> None:
        """Notes on disk that it was used, so that a restart knows."""
        self._touched[key] = used_at
        self._kick()

    async def done(self, change: Change) -> None:
        """Returns when the file is as it was asked, or as it was asked later, or could not be made so."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        change.waiters.append(future)
        await future

    async def flush(self) -> None:
        """Returns when everything that was asked before has been done."""
        while self._task is not None and not self._task.done():
            await asyncio.shield(self._task)

    def _ask(self, key: str, change: Change) -> Change:
        replaced = self._changes.get(key)
        if replaced is not None:
            self.bytes -= replaced.size
            # Those who wait for the older word wait for the newer one.
            change.waiters, replaced.waiters = replaced.waiters, []
        self._changes[key] = change
        self.bytes += change.size
        self._kick()
        return change

    def _kick(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain(), name="cache writer")
            self._task.add_done_callback(_watch)

    async def _drain(self) -> None:
        while self._changes or self._touched:
            batch = list(islice(self._changes.items(), BATCH))
            touched, self._touched = self._touched, {}
            now = self._clock()
            outcomes = await self._run(self._apply, batch, touched, now)
            for (key, change), outcome in zip(batch, outcomes, strict=True):
                self._applied(key, change, outcome, now)

    def _apply(self, batch: list[tuple[str, Change]], touched: dict[str, float], now: float) -> list[int | Exception]:
        """In a thread: sizes of the files, 0 for those removed, or what went wrong."""
        outcomes: list[int | Exception] = []
        for key, change in batch:
            try:
                if change.entry is None:
                    self._files.remove(key)
                    outcomes.append(0)
                else:
                    outcomes.append(self._files.write(key, change.entry, now))
            except Exception as e:
                outcomes.append(e)
        for key, used_at in touched.items():
            self._files.touch(key, used_at)
        return outcomes

    def _applied(self, key: str, change: Change, outcome: int | Exception, now: float) -> None:
        # Else there is a newer word on this key, and what was written is not what will stay.
        if self._changes.get(key) is change:
            del self._changes[key]
            self.bytes -= change.size
            if change.entry is not None:
                self._on_written(key, outcome, now)
        for waiter in change.waiters:
            if not waiter.done():
                waiter.set_result(None)


def _watch(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the cache's writer ended", error=repr(error), exc_info=error)
