"""RemoteCache: the level of the cache that servers share, in object storage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from antiphon.cache import entry as entries
from antiphon.cache.entry import CorruptEntry, Entry
from antiphon.cache.lru import Lru
from antiphon.domain import errors

log = structlog.get_logger("antiphon.cache")

#: Seconds that an answer may take; after that it is cheaper to compute the unit again.
PATIENCE = 1.0
#: Seconds without requests after one that failed or took too long.
QUIET = 5.0
#: Seconds for which an entry counts as absent after a miss, and how many such keys are remembered.
ABSENT, REMEMBERED = 10.0, 20_000
#: Entries that are sent at the same time; bytes that may wait to be sent; seconds to send them when the cache closes.
SENDERS, WAITING, FAREWELL = 4, 64 * 1024 * 1024, 5.0


class Storage(Protocol):
    """Files by the keys of entries. Every method may raise `StorageDown`."""

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, data: bytes) -> None: ...

    async def remove(self, key: str) -> None: ...


class RemoteCache:
    """Used in one event loop. When the storage fails, entries are not found or not shared; no error is raised."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage, self._clock = storage, clock
        self._asked: dict[str, asyncio.Task[Entry | None]] = {}
        self._absent: Lru[float] = Lru(REMEMBERED)
        self._quiet_until = float("-inf")
        self._waiting: dict[str, Entry] = {}
        self._bytes = 0
        self._senders: set[asyncio.Task[None]] = set()
        #: Entries that were found, sent, and dropped because too much waited or the storage failed.
        self.found = self.sent = self.dropped = 0

    # Ask

    def ask(self, key: str) -> asyncio.Task[Entry | None] | None:
        """Begins to look for an entry, once for all callers; None if the entry is absent or the storage down."""
        asked = self._asked.get(key)
        if asked is not None:
            return asked
        now = self._clock()
        if now < self._quiet_until or now - (self._absent.get(key) or float("-inf")) < ABSENT:
            return None
        task = self._asked[key] = asyncio.create_task(self._look(key), name="look for a shared entry")
        task.add_done_callback(lambda _: self._asked.pop(key, None))
        return task

    async def find(self, key: str) -> Entry | None:
        """The verified entry; None if there is none or the storage does not answer in time."""
        task = self.ask(key)
        # Several callers may wait: a cancelled one does not cancel the request of the others.
        return None if task is None else await asyncio.shield(task)

    async def _look(self, key: str) -> Entry | None:
        try:
            async with asyncio.timeout(PATIENCE):
                data = await self._storage.get(key)
            if data is None:
                self._absent.put(key, self._clock(), 1)
                return None
            entry = await asyncio.to_thread(entries.unpack, key, data)
        except CorruptEntry as e:
            log.warning("a shared entry is corrupt; it is computed again", key=key, why=str(e))
            await self._remove(key)
            return None
        except (errors.StorageDown, TimeoutError):
            self._quiet_until = self._clock() + QUIET
            return None
        self.found += 1
        return entry

    async def _remove(self, key: str) -> None:
        try:
            await self._storage.remove(key)
        except errors.StorageDown:
            self._quiet_until = self._clock() + QUIET

    # Share

    def share(self, key: str, entry: Entry) -> None:
        """Queues an entry to be sent, unless too many bytes wait."""
        if key in self._waiting:
            return
        if self._bytes + len(entry.payload) > WAITING:
            self.dropped += 1
            return
        self._waiting[key] = entry
        self._bytes += len(entry.payload)
        if len(self._senders) < SENDERS:
            task = asyncio.create_task(self._send(), name="share entries")
            self._senders.add(task)
            task.add_done_callback(self._senders.discard)

    async def flush(self) -> None:
        """Returns when all queued entries are sent or dropped."""
        while self._senders:
            await asyncio.wait(tuple(self._senders))

    async def close(self) -> None:
        try:
            async with asyncio.timeout(FAREWELL):
                await self.flush()
        except TimeoutError:
            log.warning("the cache closes before all entries were shared", entries=len(self._waiting))
        for task in (*self._senders, *self._asked.values()):
            task.cancel()
        await asyncio.gather(*self._senders, *self._asked.values(), return_exceptions=True)

    async def _send(self) -> None:
        while self._waiting:
            key = next(iter(self._waiting))
            entry = self._waiting.pop(key)
            try:
                await self._storage.put(key, await asyncio.to_thread(_packed, key, entry))
                self.sent += 1
                self._absent.pop(key)
            except errors.StorageDown:
                self.dropped += 1
            finally:
                self._bytes -= len(entry.payload)


def _packed(key: str, entry: Entry) -> bytes:
    return b"".join(entries.pack(key, entry))
