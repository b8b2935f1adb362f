"""Job run: one job from its plan to its units' results, in order, with nothing made twice."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from antiphon.cache import Cache, Entry, SingleFlight
from antiphon.domain import errors
from antiphon.domain.plan import Plan
from antiphon.domain.unit import Unit, UnitResult, Wish

#: Bytes of finished segments that wait in memory for a slow reader; beyond it they are read from the cache again.
AHEAD = 128 * 1024
#: Seconds of computing from which a unit is kept on disk. Creating a file takes 0.6 ms of processor time (measured on
#: ext4), reading it 0.1 ms: a sentence that espeak speaks in 4 ms is worth a place in memory, but no file.
WORTH_A_FILE = 0.02
#: Seconds of computing from which a unit is looked for in the cache that servers share, and kept there: either takes
#: some 10 ms.
WORTH_SHARING = 0.1
#: Units that a reader gets one after another before others have their turn: what is in memory is taken without waiting,
#: and a client that has gone takes it so, too, up to tens of thousands of units.
TURN = 16
#: The result of a unit that was left out: no sound.
NOTHING = Entry(b"", {})
#: How a unit is computed whose listener has heard all that comes before it.
LIVE = Wish(live=True)
#: Units after the one that is due that are looked for at the same time.
LOOK_AHEAD = 3


@dataclass(slots=True)
class SharedResults:
    """What all runs share: the cache, and the units that are being computed now."""

    cache: Cache
    #: By recipe key.
    flights: SingleFlight[Entry]
    #: The part of the cache that an owner uses; all owners of the same one share what was computed.
    space: Callable[[str], str] = lambda owner: ""
    #: Units so far that waited for another job's worker in place of one of their own.
    followed: int = 0


@dataclass(frozen=True, slots=True)
class RunCallbacks:
    """What a run tells its job, and asks it for."""

    #: Called with every finished unit, and whether the cache had it.
    on_unit: Callable[[int, bool], None]
    #: Called once, with the error of the first unit that failed for good.
    on_failure: Callable[[errors.AntiphonError], None]
    #: Puts a unit into the queue once more.
    requeue: Callable[[int], None]
    #: Whether a unit may take `WORTH_SHARING` seconds to compute.
    is_dear: Callable[[int], bool] = lambda index: False


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a unit's result."""

    index: int
    payload: bytes
    #: Whether the unit's result ends with it.
    last: bool


@dataclass(slots=True)
class _Told:
    """What a listener has got of a unit before its end, and what waits for him."""

    #: Bytes that he has got.
    size: int = 0
    waiting: deque[bytes] = field(default_factory=deque)
    #: Bytes to leave out: he has got them from a worker that died.
    skip: int = 0


class JobRun:
    """The source of a ticket's units and the place where their results come together."""

    def __init__(
        self,
        job: str,
        plan: Plan,
        shared: SharedResults,
        callbacks: RunCallbacks,
        *,
        space: str = "",
        read_cache: bool = True,
        write_cache: bool = True,
        live: bool = False,
    ) -> None:
        """`space`: the part of the cache that it uses, "" for the one that has no name. `live`: somebody
        waits for its results, so the first unit that is not done is computed first, and can be read by `parts`."""
        self.job, self.plan, self.shared = job, plan, shared
        self._space = space
        self.keys = [self.cache_key(key) for key in plan.keys]
        self._read, self._write = read_cache, write_cache
        self._callbacks = callbacks
        self._finished: dict[int, Entry] = {}
        self._buffered = 0
        self._on_disk = {i for i, key in enumerate(self.keys) if read_cache and shared.cache.contains(key)}
        self._waiters: dict[int, asyncio.Future[None]] = {}
        #: Units that wait for the reader to catch up, since what may not be cached can only wait in memory.
        self._parked: set[int] = set()
        #: Recipe keys of the units that a worker computes for this run now.
        self._leads: set[str] = set()
        self.error: errors.AntiphonError | None = None
        #: Units in which the model has nothing to say, which are left out of the result.
        self.skipped: set[int] = set()
        self._live = live
        self._told: dict[int, _Told] = {}
        #: The first unit that is not done.
        self._first_open = 0
        self._done = set(self._on_disk)
        self.cached = len(self._on_disk)
        #: Bounds of the segments that are in the file so far; the writer of the file adds them.
        self.segments: list[dict[str, Any]] = []

    def cache_key(self, key: str) -> str:
        """The key in its part of the cache: of another part nothing is found, nor how long it took to look."""
        return hashlib.sha256(f"{self._space}\n{key}".encode()).hexdigest() if self._space else key

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

    # What the dispatcher asks

    async def unit(self, index: int) -> Unit | None:
        if self._over():
            return None
        if not self._write and self._buffered >= AHEAD and index not in self._waiters:
            self._parked.add(index)
            return None
        key = self.keys[index]
        if self._read:
            entry = await self._find_cached(index)
            if self._over():
                return None  # It ended meanwhile, when there was no unit to cancel.
            if entry is not None:
                self._deliver(index, entry, cached=True)
                return None
        if self.shared.flights.lead(key):
            self._leads.add(key)
        elif self._read:
            self.shared.followed += 1
            self.shared.flights.follow(key).add_done_callback(lambda outcome: self._followed(index, outcome))
            return None
        unit = self.plan.unit(self.job, index)
        return replace(unit, wish=LIVE) if self._live and index == self._first_missing() else unit

    def _first_missing(self) -> int:
        """The first unit without a result: a listener soon waits for it."""
        while self._first_open in self._done:
            self._first_open += 1
        return self._first_open

    def _over(self) -> bool:
        """Whether the run has ended. A call, since it may end during any `await`."""
        return self.error is not None

    async def _find_cached(self, index: int) -> Entry | None:
        """The cache's entry for the unit, if there is one."""
        cache, key = self.shared.cache, self.keys[index]
        entry = cache.get_in_memory(key)
        if entry is None and cache.remote is not None and self._callbacks.is_dear(index):
            # The next units are looked for at the same time, so that their slots do not wait.
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

    def chunk(self, index: int, payload: bytes) -> None:
        """A part of a live unit's result, before its end. Only whole results are cached and given to other runs."""
        told = self._told.setdefault(index, _Told())
        skipped = min(told.skip, len(payload))
        told.skip -= skipped
        if skipped < len(payload):
            told.waiting.append(payload[skipped:])
            self._wake(index)

    def lost(self, index: int) -> None:
        """The unit's worker died and the unit is queued again. Runs that waited for it compute it themselves."""
        if (told := self._told.get(index)) is not None:
            told.waiting.clear()
            told.skip = told.size
        self._land(self.keys[index], None)

    def failed(self, index: int, error: errors.AntiphonError) -> None:
        self._land(self.keys[index], None)
        self.fail(error)

    def skip(self, index: int, why: errors.InvalidText | None = None) -> None:
        """The model has nothing to say in this unit: its pause is all that is heard of it. Nothing is cached, and a run
        that waited for it asks the model itself. A run without any other unit fails with `NothingToSay` and the
        engine's own words."""
        self._land(self.keys[index], None)
        if self.error is not None or index in self.skipped:
            return
        self.skipped.add(index)
        if len(self.skipped) == self.total:
            self.fail(errors.NothingToSay(None if why is None else why.message, param="text"))
            return
        self._count(index, cached=False)
        self._wake(index)

    def mark_cached(self, index: int) -> None:
        """Another run has computed this unit: it is in the cache."""
        if self.error is None and index not in self._finished and index not in self.skipped:
            self._on_disk.add(index)
            self._wake(index)

    # What the job does

    def fail(self, error: errors.AntiphonError) -> None:
        """Ends the run because of a unit; `on_failure` is called once."""
        if self.error is None:
            self.stop(error)
            self._callbacks.on_failure(error)

    def stop(self, error: errors.AntiphonError) -> None:
        """Ends the run: a reader that waits for a unit gets the error, and no further unit is handed out. A unit that
        is running still lands: with its result or, when it is cancelled, by letting the runs that waited for it compute
        it themselves."""
        if self.error is None:
            self.error = error
            for waiter in self._waiters.values():
                if not waiter.done():
                    waiter.set_result(None)

    def wanted_by_others(self, unit: Unit) -> bool:
        """Whether another run waits for this running unit, so that it must be finished."""
        return self.keys[unit.index] in self._leads and self.shared.flights.followers(self.keys[unit.index]) > 0

    async def parts(self) -> AsyncGenerator[Part]:
        """As `entries`, but what there is of a unit is not kept back until the unit is done: at least one part of each
        unit, and a last one of each, which may be empty."""
        heard = False
        for index in range(self.total):
            if index % TURN == TURN - 1:
                await asyncio.sleep(0)
            last = False
            while not last:
                taken = [await self._next(index)]
                last = taken[0].last
                if not heard and index in self.skipped:
                    continue
                if not heard:
                    heard = True
                    for silent in range(index):
                        yield Part(silent, b"", last=True)
                yield taken.pop()

    async def _next(self, index: int) -> Part:
        """The next part of a unit for its listener: what has come of it, or what is left once it is done."""
        told = self._told.setdefault(index, _Told())
        entry = None if told.waiting else await self._take(index, or_part=True)
        if entry is None:
            payload = told.waiting.popleft()
            told.size += len(payload)
            return Part(index, payload, last=False)
        del self._told[index]
        return Part(index, entry.payload[told.size :], last=True)

    async def entries(self) -> AsyncGenerator[Entry]:
        """Every unit's result in order; raises the error that ended the run. The first comes once there is a unit that
        was not left out: an answer in which nothing is said is an error from its beginning."""
        silent = 0
        for index in range(self.total):
            if index % TURN == TURN - 1:
                await asyncio.sleep(0)
            taken = [await self._result(index)]
            if index == silent and index in self.skipped:
                silent += 1
                continue
            for _ in range(silent):
                yield NOTHING
            silent = 0
            # The list gives its only reference away: else a slow reader would keep every copy on the way alive.
            yield taken.pop()

    async def _result(self, index: int) -> Entry:
        entry = await self._take(index)
        assert entry is not None
        return entry

    async def _take(self, index: int, *, or_part: bool = False) -> Entry | None:
        """The unit's result; None if `or_part` and a part of it has come before."""
        while True:
            if (entry := self._finished.pop(index, None)) is not None:
                self._buffered -= len(entry.payload)
                if self._parked and self._buffered < AHEAD:
                    self._unpark(min(self._parked))
                return entry
            if self.error is not None:
                raise self.error
            if index in self.skipped:
                return NOTHING
            if or_part and self._told[index].waiting:
                return None
            if index in self._on_disk:
                self._on_disk.discard(index)
                stored = await self.shared.cache.get(self.keys[index])
                if stored is not None:
                    return stored
                # The cache evicted it, or found it damaged, since it was counted: it is computed after all.
                self._callbacks.requeue(index)
            waiter = self._waiters.setdefault(index, asyncio.get_running_loop().create_future())
            if index in self._parked:
                self._unpark(index)
            try:
                await waiter
            finally:
                self._waiters.pop(index, None)

    def _unpark(self, index: int) -> None:
        self._parked.discard(index)
        self._callbacks.requeue(index)

    def _deliver(self, index: int, entry: Entry, *, cached: bool) -> None:
        if self.error is not None or index in self._finished:
            return
        if (told := self._told.get(index)) is not None:
            told.waiting.clear()
        if self._buffered + len(entry.payload) > AHEAD and self._write and index not in self._waiters:
            # If the cache loses it before its turn, it is computed again.
            self._on_disk.add(index)
        else:
            self._finished[index] = entry
            self._buffered += len(entry.payload)
        self._count(index, cached=cached)
        self._wake(index)

    def _count(self, index: int, *, cached: bool) -> None:
        if index not in self._done:
            self._done.add(index)
            self.cached += cached
            self._callbacks.on_unit(index, cached)

    def _wake(self, index: int) -> None:
        if (waiter := self._waiters.get(index)) is not None and not waiter.done():
            waiter.set_result(None)

    def _land(self, key: str, entry: Entry | None) -> None:
        if key in self._leads:
            self._leads.discard(key)
            self.shared.flights.land(key, entry)

    def _followed(self, index: int, outcome: asyncio.Future[Entry | None]) -> None:
        """Takes what another run computed; if that run failed, this one computes the unit itself."""
        entry = None if outcome.cancelled() else outcome.result()
        if entry is not None:
            self._deliver(index, entry, cached=True)
        elif self.error is None:
            self._callbacks.requeue(index)
