"""Cache: memory in front of a directory, both bounded; the least recently used entries are dropped first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from antiphon.cache.entry import CorruptEntry, Entry
from antiphon.cache.files import Files, Found
from antiphon.cache.lru import Lru
from antiphon.cache.remote import RemoteCache
from antiphon.cache.write_behind import WriteBehind

log = structlog.get_logger("antiphon.cache")
T = TypeVar("T")

#: Bytes that an entry takes in memory besides its payload, roughly.
OVERHEAD = 512
#: Seconds between two writes of an entry's time of use.
TOUCH = 60.0
THREADS = 3


@dataclass(frozen=True, slots=True)
class Stats:
    #: On disk.
    entries: int
    bytes: int
    memory_entries: int
    memory_bytes: int
    hits: int
    #: Calls of `get` without an entry.
    misses: int
    #: Entries that were removed from disk to make room.
    evictions: int
    #: Files that were found corrupt.
    corrupt: int
    #: Entries that were not written: the disk was full or failed, or too many bytes waited.
    dropped: int


@dataclass(slots=True, eq=False)
class _Place:
    """One written version of an entry on disk; a new version gets a new object."""

    #: Seconds since the epoch, as in the file.
    used_at: float


class Cache:
    """Maps a key (64 hexadecimal digits) to an `Entry`. Used in one event loop, which never waits for the disk.

    Errors of the disk are never raised: an entry that cannot be written stays in memory while there is room, and one
    that cannot be read counts as absent.
    """

    def __init__(
        self,
        root: Path,
        max_bytes: int,
        memory_bytes: int = 64 * 1024 * 1024,
        *,
        backlog_bytes: int = 64 * 1024 * 1024,
        remote: RemoteCache | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`backlog_bytes` bounds the payload that waits to be written; `max_bytes=0`: memory only.
        `remote`: the level that other servers share with this one."""
        self._files = Files(Path(root))
        self._memory: Lru[Entry] = Lru(memory_bytes)
        self._disk: Lru[_Place] = Lru(max_bytes)
        self._write_behind = WriteBehind(self._files, self._run, clock, self._written)
        self._backlog_bytes, self._clock = backlog_bytes, clock
        self.remote = remote
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="antiphon-cache")
        self._scanned = self._closed = self._troubled = False
        self._hits = self._misses = self._evictions = self._corrupt = self._dropped = 0

    async def open(self) -> None:
        """Scans the disk. Until it returns, `contains` and the bounds cover only entries that were added since."""
        found: list[Found] = []
        try:
            found = await self._run(self._files.scan)
        except OSError as e:
            log.warning("the cache's directory cannot be read; the cache starts empty", error=str(e))
        room = True
        # From the newest on, each one as the least recently used: entries that were used since the scan stay newer.
        for key, size, used_at in reversed(found):
            if key not in self._write_behind and key not in self._disk:
                room = room and self._disk.put_oldest(key, _Place(used_at), size)
                if not room:
                    self._evict(key)
        self._scanned = True

    async def close(self) -> None:
        """Writes the waiting entries and ends the threads. Afterwards only entries in memory are found."""
        if not self._closed:
            if self.remote is not None:
                await self.remote.close()
            await self._write_behind.flush()
            self._closed = True
            await asyncio.to_thread(self._pool.shutdown)

    # Ask

    def contains(self, key: str) -> bool:
        """Whether `get` would find the entry, as far as is known without reading the disk."""
        return key in self._memory or key in self._disk or self._write_behind.entry(key) is not None

    def get_in_memory(self, key: str) -> Entry | None:
        """The entry if it is in memory."""
        entry = self._memory.get(key) or self._write_behind.entry(key)
        if entry is not None:
            self._hits += 1
            self._use(key)
        return entry

    async def get(self, key: str) -> Entry | None:
        """The entry from memory or disk. A corrupt file is removed and counts as absent."""
        entry = self.get_in_memory(key)
        if entry is not None:
            return entry
        place = self._disk.peek(key)
        if (place is not None or not self._scanned) and key not in self._write_behind and not self._closed:
            entry = await self._read(key, place)
        if entry is None:
            self._misses += 1
            return None
        self._hits += 1
        self._use(key)
        return entry

    async def find(self, key: str) -> Entry | None:
        """The entry from memory, disk or the level that other servers share."""
        entry = await self.get(key)
        if entry is None and self.remote is not None and not self._closed:
            entry = await self.remote.find(key)
            if entry is not None and not self.contains(key):
                self._keep_soon(key, entry)
        return entry

    def prefetch(self, keys: Iterable[str]) -> None:
        """Begins to look for entries in the shared level before `find` is called."""
        for key in keys:
            if self.remote is not None and not self.contains(key):
                self.remote.ask(key)

    async def _read(self, key: str, place: _Place | None) -> Entry | None:
        why: Exception | None = None
        try:
            entry: Entry | None = await self._run(self._files.read, key)
        except (FileNotFoundError, CorruptEntry) as e:
            entry, why = None, e
        except OSError as e:
            log.warning("a cache file cannot be read", key=key, error=str(e))
            return None
        if self._disk.peek(key) is not place or key in self._write_behind:
            # The file was written or removed meanwhile: the entry is right, but memory and counts are up to date.
            return entry
        if entry is not None:
            return self._remember(key, entry)
        self._disk.pop(key)
        if isinstance(why, CorruptEntry):
            self._corrupt += 1
            self._write_behind.remove(key)
            log.warning("a cache file is corrupt; its entry is computed again", key=key, why=str(why))
        return None

    def stats(self) -> Stats:
        sizes = (len(self._disk), self._disk.bytes, len(self._memory), self._memory.bytes)
        return Stats(*sizes, self._hits, self._misses, self._evictions, self._corrupt, self._dropped)

    # Change

    async def put(self, key: str, payload: bytes, meta: Mapping[str, Any]) -> None:
        """Adds an entry to memory, and to its file before this returns, unless the disk fails."""
        entry = self._remember(key, Entry(payload, meta))
        if self._fits(entry):
            await self._write_behind.done(self._write_behind.write(key, entry))

    def put_soon(self, key: str, payload: bytes, meta: Mapping[str, Any], *, share: bool = False) -> None:
        """Adds an entry to memory, and to its file soon, unless too many bytes wait.

        `share`: it is also sent to the level that other servers share."""
        entry = Entry(payload, meta)
        self._keep_soon(key, entry)
        if share and self.remote is not None and not self._closed:
            self.remote.share(key, entry)

    def _keep_soon(self, key: str, entry: Entry) -> None:
        self._remember(key, entry)
        if self._fits(entry):
            if self._write_behind.bytes + len(entry.payload) <= self._backlog_bytes:
                self._write_behind.write(key, entry)
            else:
                self._dropped += 1

    def remember(self, key: str, payload: bytes, meta: Mapping[str, Any]) -> None:
        """Adds an entry to memory only: for results that are computed faster than a file is written."""
        self._remember(key, Entry(payload, meta))

    async def discard(self, key: str) -> None:
        """Removes the entry and its file."""
        self._memory.pop(key)
        self._disk.pop(key)
        if not self._closed:
            await self._write_behind.done(self._write_behind.remove(key))

    async def flush(self) -> None:
        """Returns when all entries that were added before are in their files."""
        await self._write_behind.flush()

    def _remember(self, key: str, entry: Entry) -> Entry:
        self._memory.put(key, entry, len(entry.payload) + OVERHEAD)
        return entry

    def _fits(self, entry: Entry) -> bool:
        return not self._closed and len(entry.payload) + OVERHEAD <= self._disk.max_bytes

    def _written(self, key: str, outcome: int | Exception, now: float) -> None:
        if isinstance(outcome, Exception):
            self._dropped += 1
            # Logged once until a write succeeds: a full disk would log the same line for every unit.
            if not self._troubled:
                self._troubled = True
                log.warning("the cache cannot write; audio stays in memory only", error=repr(outcome))
            return
        self._troubled = False
        for gone in self._disk.put(key, _Place(now), outcome):
            self._evict(gone)

    def _evict(self, key: str) -> None:
        self._evictions += 1
        # A waiting entry replaces the old file anyway.
        if key not in self._write_behind:
            self._write_behind.remove(key)

    def _use(self, key: str) -> None:
        place = self._disk.get(key)
        if place is not None and not self._closed and (now := self._clock()) - place.used_at >= TOUCH:
            place.used_at = now
            self._write_behind.touch(key, now)

    async def _run(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)
