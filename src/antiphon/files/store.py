"""Finished files and recordings, in this server's folders and in the storage that all servers share, if there is one.

In the storage a finished file lies under its name and its digest: what a late server still writes of a job that was
taken from it is another object, and nobody asks for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import structlog

from antiphon.cache import Cache, RemoteCache
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.job import Result
from antiphon.files.bucket import Bucket
from antiphon.settings import Settings

log = structlog.get_logger("antiphon.depot")

#: Recordings: those of voices, and those to be written down.
Folder = Literal["voices", "uploads"]

#: Seconds that somebody who was answered waits for a file to be shared; after that it is shared behind their back.
PATIENCE = 2.0
#: Seconds between tries to share a file while the storage is down, and files that may wait for it.
AGAIN, OWED = 5.0, 1000
#: Seconds for which a signed address opens its file.
SIGNED = 900.0
#: Files of which it is remembered that they are what their job says.
KNOWN = 10_000
DAY = 86400.0


class FileStore:
    """Used in one event loop. Without a bucket everything is here, and what concerns the others does nothing."""

    def __init__(self, output: Path, threads: Threads, bucket: Bucket | None = None, *, sign: bool = False) -> None:
        """`sign`: whether clients are sent to the storage for finished files."""
        self.output, self.threads, self.bucket = output, threads, bucket
        self._sign = sign and bucket is not None and bucket.signs
        self._known: dict[str, tuple[int, str]] = {}
        self._owed: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Files that are owed get a moment."""
        if self._owed:
            await asyncio.wait(tuple(self._owed), timeout=PATIENCE)
        for task in tuple(self._owed):
            task.cancel()
        await asyncio.gather(*self._owed, return_exceptions=True)

    # Finished files

    @property
    def signs(self) -> bool:
        """Whether clients are sent to the storage; not while it does not answer."""
        return self._sign and self.bucket is not None and self.bucket.trouble is None

    async def publish(self, result: Result) -> None:
        """Shares the files of a result that were just written here. Raises `StorageDown`."""
        if self.bucket is None or not result.name:
            return
        for name, digest in files(result):
            path = self.output / name
            self._know(path, digest)
            await self.bucket.put(_finished(name, digest), path, result.media_type)

    async def publish_soon(self, result: Result) -> None:
        """The same for whoever is being answered: if the storage is slow or down, later."""
        if self.bucket is None or not result.name:
            return
        task = asyncio.create_task(self._owe(result), name=f"share {result.name}")
        self._owed.add(task)
        task.add_done_callback(self._owed.discard)
        await asyncio.wait({task}, timeout=PATIENCE)

    async def _owe(self, result: Result) -> None:
        while True:
            try:
                await self.publish(result)
                return
            except (errors.StorageDown, OSError) as e:
                if len(self._owed) > OWED or isinstance(e, OSError) or not (self.output / result.name).exists():
                    log.warning("a finished file is not shared with other servers", file=result.name, error=str(e))
                    return
            await asyncio.sleep(AGAIN)

    async def local(self, name: str, digest: str) -> Path | None:
        """The file if it is here, and what its job says: another server may have made it anew since."""
        path = self.output / name
        if not is_plain(path):
            return None
        if self.bucket is None:
            return path
        with contextlib.suppress(FileNotFoundError):
            known = self._known.get(name)
            if known == (path.stat().st_mtime_ns, digest):
                return path
            if await self.threads.run(_digest, path) == digest:
                self._know(path, digest)
                return path
        return None

    async def open(
        self, name: str, digest: str, first: int = 0, behind: int | None = None
    ) -> AsyncGenerator[bytes] | None:
        """A shared file's bytes from `first` until before `behind`; None if there is none. Raises `StorageDown`."""
        return None if self.bucket is None else await self.bucket.open(_finished(name, digest), first, behind)

    async def read(self, name: str, digest: str) -> bytes | None:
        """A whole small file, wherever it is; None if it is gone. Raises `StorageDown`."""
        path = await self.local(name, digest)
        if path is not None:
            with contextlib.suppress(FileNotFoundError):
                return await self.threads.run(path.read_bytes)
        return None if self.bucket is None else await self.bucket.get(_finished(name, digest))

    async def sign(self, name: str, digest: str) -> str:
        """The storage's own address of a file, open for `SIGNED` seconds."""
        assert self.bucket is not None
        return await self.bucket.sign(_finished(name, digest), SIGNED)

    async def remove(self, names: Iterable[str]) -> None:
        """Removes finished files, here and there, whatever their digests."""
        for name in names:
            (self.output / name).unlink(missing_ok=True)
            if self.bucket is not None:
                await self.bucket.delete([found.key async for found in self.bucket.list(f"output/{name}")])

    def _know(self, path: Path, digest: str) -> None:
        if len(self._known) >= KNOWN:
            self._known.clear()
        with contextlib.suppress(FileNotFoundError):
            self._known[path.name] = path.stat().st_mtime_ns, digest

    # Recordings

    async def keep(self, folder: Folder, path: Path) -> None:
        """Shares a recording that was just put here; its name is its digest. Raises `StorageDown`."""
        if self.bucket is not None:
            await self.bucket.put(f"{folder}/{path.name}", path)

    async def bring(self, folder: Folder, path: Path) -> bool:
        """Brings a recording here that another server has; False if none has. Raises `StorageDown`, also where this
        disk is what cannot take it now."""
        if self.bucket is None:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.stem}.{os.urandom(4).hex()}.part")
        try:
            if not await self.bucket.fetch(f"{folder}/{path.name}", part):
                return False
            if await self.threads.run(_digest, part) != path.stem:
                log.error("a shared recording is not what was kept", recording=path.name)
                return False
            await self.threads.run(os.replace, part, path)
        except OSError as e:
            raise errors.StorageDown(f"A shared recording cannot be kept here: {e.strerror}", retry_after=AGAIN) from e
        finally:
            part.unlink(missing_ok=True)
        return True

    async def has(self, folder: Folder, name: str) -> bool:
        """Whether the others have it; True if there are none. Raises `StorageDown`."""
        if self.bucket is None:
            return True
        return await self.bucket.has(f"{folder}/{name}")

    async def drop(self, folder: Folder, name: str) -> None:
        """Removes a shared recording. Raises `StorageDown`."""
        if self.bucket is not None:
            await self.bucket.delete([f"{folder}/{name}"])

    # Over time

    async def sweep(self, settings: Settings, wanted: Callable[[str], Any]) -> None:
        """Removes what is too old from the storage; `wanted` says of a voice's digest whether somebody has it.

        Every server does so: what is gone is gone. Raises `StorageDown`."""
        if self.bucket is None:
            return
        kept = settings.keep_days * DAY
        # A job's row goes first, and its files with it; the day more is for those that were left over.
        for prefix, seconds in (("output", kept + DAY), ("uploads", kept), ("cache", settings.objects_days * DAY)):
            before = time.time() - seconds
            old = [found.key async for found in self.bucket.list(prefix) if found.changed < before]
            if old:
                log.info("old objects removed from the storage", folder=prefix, objects=len(old))
                await self.bucket.delete(old)
        before = time.time() - kept
        voices = [found.key async for found in self.bucket.list("voices") if found.changed < before]
        await self.bucket.delete([key for key in voices if not await wanted(Path(key).stem)])


class Segments:
    """The cache's second level in the bucket (see `cache.remote.Storage`)."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def get(self, key: str) -> bytes | None:
        return await self._bucket.get(_segment(key))

    async def put(self, key: str, data: bytes) -> None:
        await self._bucket.put(_segment(key), data)

    async def remove(self, key: str) -> None:
        await self._bucket.delete([_segment(key)])


def make(settings: Settings, threads: Threads) -> FileStore:
    """Raises `InvalidRequest` if the storage that the settings name cannot be opened."""
    s = settings
    bucket = None if s.objects is None else Bucket(s.objects, endpoint=s.objects_endpoint, public=s.objects_public)
    return FileStore(s.output_path, threads, bucket, sign=s.objects_reads == "signed")


def cache(settings: Settings, files: FileStore) -> Cache:
    remote = None if files.bucket is None else RemoteCache(Segments(files.bucket))
    return Cache(settings.cache_path, settings.cache_bytes, settings.cache_memory, remote=remote)


def files(result: Result) -> Iterator[tuple[str, str]]:
    """Name and digest of each of a result's files."""
    parts = [(part["name"], part["digest"]) for part in result.segments if "name" in part]
    yield from parts or [(result.name, result.digest)]


def is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _finished(name: str, digest: str) -> str:
    return f"output/{name}/{digest}"


def _segment(key: str) -> str:
    return f"cache/{key[:2]}/{key}"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
