"""A run: one job's story from its plan to its units' results, in order, with nothing made twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

from antiphon.cache import Cache, Entry, SingleFlight
from antiphon.domain import errors
from antiphon.domain.unit import Unit, UnitResult
from antiphon.domain.work import Plan

#: Bytes of finished segments that wait in memory for a slow reader; beyond it they are read from the cache again.
AHEAD = 128 * 1024
#: Seconds of computing from which a unit is kept on disk. Creating a file was measured at 0.6 ms of processor time here
#: (ext4), reading it back at 0.1: what espeak says in 4 ms is worth remembering, but not worth a file.
WORTH_A_FILE = 0.02
#: Seconds of computing from which a unit is worth a question to what servers share, some 10 ms, and a request to keep.
WORTH_SHARING = 0.1
#: Units after the one that is due that are asked for beforehand.
LOOK_AHEAD = 3


@dataclass(slots=True)
class SharedResults:
    """What all runs share: the cache, and which recipe is being made by which run just now."""

    cache: Cache
    #: What is being made just now, by recipe key.
    flights: SingleFlight[Entry]
    #: Segments so far that waited for another job's worker in place of one of their own.
    followed: int = 0


class JobRun:
    """The source of a ticket's units and the place where their results come together.

    `on_unit(index, cached)` hears of every finished unit, `on_failure(error)` once of the first that failed for good,
    `again(index)` must put a unit into the queue once more; `dear(index)` says whether it may take
    `WORTH_SHARING` seconds to make.
    """

    def __init__(
        self,
        job: str,
        plan: Plan,
        shared: SharedResults,
        *,
        read_cache: bool = True,
        write_cache: bool = True,
        on_unit: Callable[[int, bool], None],
        on_failure: Callable[[errors.AntiphonError], None],
        again: Callable[[int], None],
        dear: Callable[[int], bool] = lambda index: False,
    ) -> None:
        self.job, self.plan, self.shared = job, plan, shared
        self.keys = plan.keys
        self._read, self._write = read_cache, write_cache
        self._on_unit, self._on_failure, self._again, self._dear = on_unit, on_failure, again, dear
        self._finished: dict[int, Entry] = {}
        self._held = 0
        self._on_disk = {i for i, key in enumerate(self.keys) if read_cache and shared.cache.contains(key)}
        self._waiters: dict[int, asyncio.Future[None]] = {}
        #: Units that wait for the reader: what may not be cached can only wait in memory.
        self._parked: set[int] = set()
        #: Recipe keys of this run's units that are with a worker now.
        self._leads: set[str] = set()
        self.error: errors.AntiphonError | None = None
        self._done = set(self._on_disk)
        self.cached = len(self._on_disk)
        #: Bounds of the segments that are in the file so far, as its writer notes them.
        self.segments: list[dict[str, Any]] = []

    @property
    def total(self) -> int:
        return len(self.keys)

    @property
    def done_units(self) -> int:
        return len(self._done)

    @property
    def writes_cache(self) -> bool:
        return self._write

    def missing(self) -> list[int]:
        """Units that no cache entry answers, in order."""
        return [i for i in range(self.total) if i not in self._on_disk]

    # What dispatch asks

    async def unit(self, index: int) -> Unit | None:
        if self._over():
            return None
        if not self._write and self._held >= AHEAD and index not in self._waiters:
            self._parked.add(index)
            return None
        key = self.keys[index]
        if self._read:
            entry = await self._kept(index)
            if self._over():
                return None  # Meanwhile: who ended it knew of no unit to cancel.
            if entry is not None:
                self._deliver(index, entry, cached=True)
                return None
        if self.shared.flights.lead(key):
            self._leads.add(key)
        elif self._read:
            self.shared.followed += 1
            self.shared.flights.follow(key).add_done_callback(lambda made: self._followed(index, made))
            return None
        return self.plan.unit(self.job, index)

    def _over(self) -> bool:
        """Whether it was ended; a call, as it may happen while something is waited for."""
        return self.error is not None

    async def _kept(self, index: int) -> Entry | None:
        """The unit's audio if somebody made it before."""
        cache, key = self.shared.cache, self.keys[index]
        entry = cache.get_in_memory(key)
        if entry is None and cache.remote is not None and self._dear(index):
            # The next ones are looked for while this one is: their slots shall not wait.
            cache.prefetch(self.keys[index : index + 1 + LOOK_AHEAD])
            return await cache.find(key)
        if entry is None and cache.contains(key):
            return await cache.get(key)
        return entry

    def done(self, index: int, result: UnitResult) -> None:
        key = self.keys[index]
        entry = Entry(result.payload, dict(result.meta))
        if self._write and result.seconds >= WORTH_A_FILE:
            self.shared.cache.put_soon(key, entry.payload, entry.meta, share=result.seconds >= WORTH_SHARING)
        elif self._write:
            self.shared.cache.remember(key, entry.payload, entry.meta)
        self._land(key, entry)
        self._deliver(index, entry, cached=False)

    def lost(self, index: int) -> None:
        """The unit's worker died and it is queued again: those who waited for it are not bound to its luck."""
        self._land(self.keys[index], None)

    def failed(self, index: int, error: errors.AntiphonError) -> None:
        self._land(self.keys[index], None)
        self.fail(error)

    def made(self, index: int) -> None:
        """Another run has made this unit: it is in the cache."""
        if self.error is None and index not in self._finished:
            self._on_disk.add(index)
            waiter = self._waiters.get(index)
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    # What the job asks

    def fail(self, error: errors.AntiphonError) -> None:
        """Ends the run because of a unit; the job is told once."""
        if self.error is None:
            self.stop(error)
            self._on_failure(error)

    def stop(self, error: errors.AntiphonError) -> None:
        """Ends the run; whoever waits for a segment gets the error, and no further unit is handed out.

        A unit that is running meanwhile still lands: with its audio, or, when it is cancelled, by letting those
        who waited for it make it themselves.
        """
        if self.error is None:
            self.error = error
            for waiter in self._waiters.values():
                if not waiter.done():
                    waiter.set_result(None)

    def wanted_by_others(self, unit: Unit) -> bool:
        """Whether another run waits for this running unit, so that it should be finished."""
        return self.keys[unit.index] in self._leads and self.shared.flights.followers(self.keys[unit.index]) > 0

    async def entries(self) -> AsyncGenerator[Entry]:
        """Every unit's result in order; raises the error that ended the run."""
        for index in range(self.total):
            taken = [await self._take(index)]
            # Handed over, not lent: a reader that takes its time would keep every copy on the way alive.
            yield taken.pop()

    async def _take(self, index: int) -> Entry:
        while True:
            entry = self._finished.pop(index, None)
            if entry is not None:
                self._held -= len(entry.payload)
                if self._parked and self._held < AHEAD:
                    self._unpark(min(self._parked))
                return entry
            if self.error is not None:
                raise self.error
            if index in self._on_disk:
                self._on_disk.discard(index)
                stored = await self.shared.cache.get(self.keys[index])
                if stored is not None:
                    return stored
                # Evicted or rotten since it was counted: it has to be made after all.
                self._again(index)
            waiter = self._waiters.setdefault(index, asyncio.get_running_loop().create_future())
            if index in self._parked:
                self._unpark(index)
            try:
                await waiter
            finally:
                self._waiters.pop(index, None)

    def _unpark(self, index: int) -> None:
        self._parked.discard(index)
        self._again(index)

    def _deliver(self, index: int, entry: Entry, *, cached: bool) -> None:
        if self.error is not None or index in self._finished:
            return
        if self._held + len(entry.payload) > AHEAD and self._write and index not in self._waiters:
            # If the cache loses it before its turn, it is made again.
            self._on_disk.add(index)
        else:
            self._finished[index] = entry
            self._held += len(entry.payload)
        if index not in self._done:
            self._done.add(index)
            self.cached += cached
            self._on_unit(index, cached)
        waiter = self._waiters.get(index)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _land(self, key: str, made: Entry | None) -> None:
        if key in self._leads:
            self._leads.discard(key)
            self.shared.flights.land(key, made)

    def _followed(self, index: int, made: asyncio.Future[Entry | None]) -> None:
        """What another run made; None if it made nothing, and this run has to."""
        entry = None if made.cancelled() else made.result()
        if entry is not None:
            self._deliver(index, entry, cached=True)
        elif self.error is None:
            self._again(index)
