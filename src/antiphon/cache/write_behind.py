"""WriteBehind: changes that wait to be written to the cache's files, and the one task that writes them."""

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

#: The most entries that one call in a thread writes.
BATCH = 16

#: Runs a blocking function in a thread.
Run = Callable[..., Coroutine[Any, Any, Any]]
#: Called after each try to write an entry: key, size of its file or the error, seconds since the epoch.
OnWritten = Callable[[str, int | Exception, float], None]


@dataclass(slots=True, eq=False)
class Change:
    """A change of one file: it gets an entry, or None removes it."""

    entry: Entry | None
    waiters: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return 0 if self.entry is None else len(self.entry.payload)


class WriteBehind:
    """Each file is changed in the order of the calls; the last change of a key wins."""

    def __init__(self, files: Files, run: Run, clock: Callable[[], float], on_written: OnWritten) -> None:
        self._files, self._run, self._clock, self._on_written = files, run, clock, on_written
        self._changes: dict[str, Change] = {}
        self._touched: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None
        #: Bytes of payload that wait to be written.
        self.bytes = 0

    def __contains__(self, key: str) -> bool:
        """Whether a change of this file waits."""
        return key in self._changes

    def entry(self, key: str) -> Entry | None:
        """The entry that waits to be written; None if there is none."""
        change = self._changes.get(key)
        return change.entry if change is not None else None

    def write(self, key: str, entry: Entry) -> Change:
        return self._ask(key, Change(entry))

    def remove(self, key: str) -> Change:
        return self._ask(key, Change(None))

    def touch(self, key: str, used_at: float) -> None:
        """Writes the time of use to the file, so that it survives a restart."""
        self._touched[key] = used_at
        self._kick()

    async def done(self, change: Change) -> None:
        """Returns when the change, or a later one of the same file, was made or has failed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        change.waiters.append(future)
        await future

    async def flush(self) -> None:
        """Returns when all earlier changes are done."""
        while self._task is not None and not self._task.done():
            await asyncio.shield(self._task)

    def _ask(self, key: str, change: Change) -> Change:
        replaced = self._changes.get(key)
        if replaced is not None:
            self.bytes -= replaced.size
            # Callers that wait for the older change wait for the newer one.
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
        """Runs in a thread. Returns for each change the file's bytes, 0 for a removed file, or the error."""
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
        # Otherwise a newer change of this key waits and will replace what was written.
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
        log.error("the cache's writer ended with an error", error=repr(error), exc_info=error)
