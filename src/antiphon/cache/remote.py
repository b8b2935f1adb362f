"""The second level: entries that other servers made, in a storage that all of them share."""

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

#: Seconds that an answer may take; a unit is rather made again than waited for much longer.
PATIENCE = 1.0
#: Seconds without questions after one that failed or took too long.
QUIET = 5.0
#: Seconds for which it is believed that nobody has an entry, and how many of them are remembered.
ABSENT, REMEMBERED = 10.0, 20_000
#: Entries that are sent at the same time; bytes that may wait to be sent; seconds that they get at the end.
SENDERS, WAITING, FAREWELL = 4, 64 * 1024 * 1024, 5.0


class Storage(Protocol):
    """Files under the keys of entries. Every method may raise `StorageDown`."""

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, data: bytes) -> None: ...

    async def remove(self, key: str) -> None: ...


class RemoteCache:
    """Used in one event loop. Whatever goes wrong with the storage, an entry is only not found, or not shared."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage, self._clock = storage, clock
        self._asked: dict[str, asyncio.Task[Entry | None]] = {}
        self._absent: Lru[float] = Lru(REMEMBERED)
        self._quiet_until = float("-inf")
        self._waiting: dict[str, Entry] = {}
        self._bytes = 0
        self._senders: set[asyncio.Task[None]] = set()
        #: Entries that were found, sent, and not sent because too much waited or the storage failed.
        self.found = self.sent = self.dropped = 0

    # Ask

    def ask(self, key: str) -> asyncio.Task[Entry | None] | None:
        """Begins to look for an entry; None where that is known to be in vain. Asked twice, it looks once."""
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
        """The entry, checked; None if there is none, or if that cannot be said soon."""
        task = self.ask(key)
        # Others may wait for the same: whoever is cancelled does not take it from them.
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
            log.warning("a shared entry is not what was written; it is made anew", key=key, why=str(e))
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
        """Sends an entry soon, unless too much waits to be sent."""
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
        """Returns when what was shared before is sent, or given up."""
        while self._senders:
            await asyncio.wait(tuple(self._senders))

    async def close(self) -> None:
        try:
            async with asyncio.timeout(FAREWELL):
                await self.flush()
        except TimeoutError:
            log.warning("entries were not shared before the end", entries=len(self._waiting))
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
