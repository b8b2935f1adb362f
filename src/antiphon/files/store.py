"""File store: finished files and recordings, in this server's folders and in the storage that servers share.

The storage keeps a finished file under its name and its digest. A slow server that still writes the file of a job
that another server has taken over therefore writes another object, which no client gets."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

import structlog

from antiphon.concurrency.tasks import TaskSet, retry_until
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.job import Result
from antiphon.files.bucket import Bucket

log = structlog.get_logger("antiphon.files")

#: Recordings of voices, and recordings to transcribe.
Folder = Literal["voices", "uploads"]

#: Seconds that an answered client waits for a file to be published; after that it is published later.
PATIENCE = 2.0
#: Seconds between attempts to publish a file while the storage is down, and files that may wait for the next.
RETRY, MAX_WAITING = 5.0, 1000
#: Seconds for which a signed address is valid.
SIGNED = 900.0
#: Files whose digest was verified, and is remembered.
MAX_VERIFIED = 10_000
DAY = 86400.0


class FileStore:
    """Used in one event loop. Without a bucket, all files are local, and the methods that share files do nothing."""

    def __init__(self, output: Path, threads: Threads, bucket: Bucket | None = None, *, sign: bool = False) -> None:
        """`sign`: whether clients are sent to the storage for finished files."""
        self.output, self.threads, self.bucket = output, threads, bucket
        self._sign = sign and bucket is not None and bucket.signs
        self._verified: dict[str, tuple[int, str]] = {}
        self._publishing = TaskSet("antiphon.files")

    async def start(self) -> None:
        """Removes temporary files of a previous process. Raises `InvalidRequest` if the storage may not be written."""
        if self.bucket is not None:
            await self.bucket.check()
        for leftover in self.output.glob(".*.part"):
            leftover.unlink(missing_ok=True)

    async def stop(self) -> None:
        """Gives files that are not yet published `PATIENCE` seconds."""
        await self._publishing.stop(grace=PATIENCE)

    # Finished files

    @property
    def signs(self) -> bool:
        """Whether clients are sent to the storage: only while it answers."""
        return self._sign and self.bucket is not None and self.bucket.last_error is None

    async def publish(self, result: Result) -> None:
        """Copies the files of a result, just written here, to the storage. Raises `StorageDown`."""
        if self.bucket is None or not result.name:
            return
        for name, digest in files(result):
            path = self.output / name
            self._remember(path, digest)
            await self.bucket.put(_finished(name, digest), path, result.media_type)

    async def publish_soon(self, result: Result) -> None:
        """Publishes within `PATIENCE` seconds, since a client waits; otherwise in the background."""
        if self.bucket is None or not result.name:
            return
        task = self._publishing.spawn(self._publish_later(result), f"publish {result.name}")
        await asyncio.wait({task}, timeout=PATIENCE)

    async def _publish_later(self, result: Result) -> None:
        def on_failure(error: errors.StorageDown) -> None:
            if len(self._publishing) > MAX_WAITING or not (self.output / result.name).exists():
                raise error

        try:
            await retry_until(lambda: self.publish(result), errors.StorageDown, RETRY, on_failure)
        except (errors.StorageDown, OSError) as e:
            log.warning("a finished file is not shared with other servers", file=result.name, error=str(e))

    async def local(self, name: str, digest: str) -> Path | None:
        """The local file if its digest is right; None otherwise, since another server may have made the file again."""
        path = self.output / name
        if not is_plain(path):
            return None
        if self.bucket is None:
            return path
        with contextlib.suppress(FileNotFoundError):
            verified = self._verified.get(name)
            if verified == (path.stat().st_mtime_ns, digest):
                return path
            if await self.threads.run(_digest, path) == digest:
                self._remember(path, digest)
                return path
        return None

    async def open(
        self, name: str, digest: str, first: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes] | None:
        """A shared file's bytes from `first` up to and without `end`; None if there is none. Raises `StorageDown`."""
        return None if self.bucket is None else await self.bucket.open(_finished(name, digest), first, end)

    async def read(self, name: str, digest: str) -> bytes | None:
        """A whole small file, local or shared; None if there is none. Raises `StorageDown`."""
        if (path := await self.local(name, digest)) is not None:
            with contextlib.suppress(FileNotFoundError):
                return await self.threads.run(path.read_bytes)
        return None if self.bucket is None else await self.bucket.get(_finished(name, digest))

    async def sign(self, name: str, digest: str) -> str:
        """An address in the storage from which a client may get a file for `SIGNED` seconds."""
        assert self.bucket is not None
        return await self.bucket.sign(_finished(name, digest), SIGNED)

    async def remove(self, names: Iterable[str]) -> None:
        """Removes finished files, local and shared, whatever their digests."""
        for name in names:
            (self.output / name).unlink(missing_ok=True)
            if self.bucket is not None:
                await self.bucket.delete([found.key async for found in self.bucket.list(f"output/{name}")])

    def _remember(self, path: Path, digest: str) -> None:
        if len(self._verified) >= MAX_VERIFIED:
            self._verified.clear()
        with contextlib.suppress(FileNotFoundError):
            self._verified[path.name] = path.stat().st_mtime_ns, digest

    # Recordings

    async def put(self, folder: Folder, path: Path) -> None:
        """Copies a recording, just stored here under its digest, to the storage. Raises `StorageDown`."""
        if self.bucket is not None:
            await self.bucket.put(f"{folder}/{path.name}", path)

    async def fetch(self, folder: Folder, path: Path) -> bool:
        """Fetches a recording from the storage; False if it has none. Raises `StorageDown`, also if the local disk
        cannot store the recording now."""
        if self.bucket is None:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.stem}.{os.urandom(4).hex()}.part")
        try:
            if not await self.bucket.fetch(f"{folder}/{path.name}", part):
                return False
            if await self.threads.run(_digest, part) != path.stem:
                log.error("a shared recording does not match its digest", recording=path.name)
                return False
            await self.threads.run(os.replace, part, path)
        except OSError as e:
            raise errors.StorageDown(f"A shared recording cannot be kept here: {e.strerror}", retry_after=RETRY) from e
        finally:
            part.unlink(missing_ok=True)
        return True

    async def has(self, folder: Folder, name: str) -> bool:
        """Whether the storage has a recording; True if there is no storage. Raises `StorageDown`."""
        if self.bucket is None:
            return True
        return await self.bucket.has(f"{folder}/{name}")

    async def delete(self, folder: Folder, name: str) -> None:
        """Removes a recording from the storage. Raises `StorageDown`."""
        if self.bucket is not None:
            await self.bucket.delete([f"{folder}/{name}"])

    # Retention

    async def sweep(self, max_age: float, cache_age: float, in_use: Callable[[str], Awaitable[bool]]) -> None:
        """Removes objects older than `max_age` seconds from the storage, and cache entries older than `cache_age`.
        `in_use` tells whether a voice uses the recording with a digest. Every server does this; an object that another
        one removed is passed over. Raises `StorageDown`."""
        if self.bucket is None:
            return
        # A job's files are removed with its row; after a further day this removes files left over.
        for prefix, seconds in (("output", max_age + DAY), ("uploads", max_age), ("cache", cache_age)):
            before = time.time() - seconds
            old = [found.key async for found in self.bucket.list(prefix) if found.changed < before]
            if old:
                log.info("old objects removed from the storage", folder=prefix, objects=len(old))
                await self.bucket.delete(old)
        before = time.time() - max_age
        voices = [found.key async for found in self.bucket.list("voices") if found.changed < before]
        await self.bucket.delete([key for key in voices if not await in_use(Path(key).stem)])


def files(result: Result) -> Iterator[tuple[str, str]]:
    """Name and digest of each of a result's files."""
    parts = [(part["name"], part["digest"]) for part in result.segments if "name" in part]
    yield from parts or [(result.name, result.digest)]


def is_plain(path: Path) -> bool:
    """Whether the path is a file, not a symbolic link."""
    return path.is_file() and not path.is_symlink()


def _finished(name: str, digest: str) -> str:
    return f"output/{name}/{digest}"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
