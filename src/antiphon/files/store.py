"""File store: finished files and recordings, in this server's folders and in the storage that servers share.

In the storage a finished file lies under its name and its digest: what a slow server still writes of a job that
another one has taken over is another object, which no client is given.
"""

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

#: Recordings: those of voices, and those to be written down.
Folder = Literal["voices", "uploads"]

#: Seconds that an answered client waits for a file to be published; after that it is published later.
PATIENCE = 2.0
#: Seconds between tries to publish a file while the storage is down, and files that may wait for it.
RETRY, MAX_WAITING = 5.0, 1000
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
        self._publishing = TaskSet("antiphon.files")

    async def start(self) -> None:
        """Raises `StorageDown` if the storage cannot be used."""
        if self.bucket is not None:
            await self.bucket.check()
        for leftover in self.output.glob(".*.part"):
            leftover.unlink(missing_ok=True)

    async def stop(self) -> None:
        """Files that are not published yet get a moment."""
        await self._publishing.stop(grace=PATIENCE)

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
        """`publish` for a client that waits: if the storage is slow or down, the file is published later."""
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

    async def put(self, folder: Folder, path: Path) -> None:
        """Shares a recording that was just put here; its name is its digest. Raises `StorageDown`."""
        if self.bucket is not None:
            await self.bucket.put(f"{folder}/{path.name}", path)

    async def fetch(self, folder: Folder, path: Path) -> bool:
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
            raise errors.StorageDown(f"A shared recording cannot be kept here: {e.strerror}", retry_after=RETRY) from e
        finally:
            part.unlink(missing_ok=True)
        return True

    async def has(self, folder: Folder, name: str) -> bool:
        """Whether the others have it; True if there are none. Raises `StorageDown`."""
        if self.bucket is None:
            return True
        return await self.bucket.has(f"{folder}/{name}")

    async def delete(self, folder: Folder, name: str) -> None:
        """Removes a shared recording. Raises `StorageDown`."""
        if self.bucket is not None:
            await self.bucket.delete([f"{folder}/{name}"])

    # Over time

    async def sweep(self, kept: float, cached: float, wanted: Callable[[str], Awaitable[bool]]) -> None:
        """Removes from the storage what is older than `kept` seconds, of the cache what is older than `cached`;
        `wanted` says of a voice's digest whether it belongs to an owner.

        Every server does so: what is gone is gone. Raises `StorageDown`."""
        if self.bucket is None:
            return
        # A job's row goes first, and its files with it; the extra day is for those that were left over.
        for prefix, seconds in (("output", kept + DAY), ("uploads", kept), ("cache", cached)):
            before = time.time() - seconds
            old = [found.key async for found in self.bucket.list(prefix) if found.changed < before]
            if old:
                log.info("old objects removed from the storage", folder=prefix, objects=len(old))
                await self.bucket.delete(old)
        before = time.time() - kept
        voices = [found.key async for found in self.bucket.list("voices") if found.changed < before]
        await self.bucket.delete([key for key in voices if not await wanted(Path(key).stem)])


def files(result: Result) -> Iterator[tuple[str, str]]:
    """Name and digest of each of a result's files."""
    parts = [(part["name"], part["digest"]) for part in result.segments if "name" in part]
    yield from parts or [(result.name, result.digest)]


def is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _finished(name: str, digest: str) -> str:
    return f"output/{name}/{digest}"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
