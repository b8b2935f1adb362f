"""Recordings: audio that is to be transcribed, decoded once and kept by its digest until no job needs it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import structlog

from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.files.disk_space import DiskSpace
from antiphon.files.store import FileStore
from antiphon.sandbox import client, speech_audio

log = structlog.get_logger("antiphon.uploads")

#: Recordings that are decoded at the same time, and that wait for it.
AT_ONCE, WAITING = 2, 16
#: Seconds after its last use for which a recording stays, so that a job can be tried again.
KEPT = 24 * 3600.0
#: Seconds after which the remains of an earlier life's decoding are taken away.
STALE = 3600.0
#: Seconds for which a recording stays though the room is wanted: its job may be about to be made.
FRESH = 60.0
LIMITS = client.Limits(memory=3 * 1024**3, cpu=300, wall=600.0)
_MOST = int(2 * speech_audio.RATE * (speech_audio.MAX_SECONDS + 1)) + 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredRecording:
    #: SHA-256 of the samples, hexadecimal.
    digest: str
    #: (first sample, one after the last) of the pieces that hold sound.
    bounds: tuple[tuple[int, int], ...]
    seconds: float


@dataclass(slots=True)
class RecordingStore:
    folder: Path
    threads: Threads
    files: FileStore
    space: DiskSpace
    #: Bytes of all recordings.
    most: int
    #: Digests that active jobs need.
    needed: Callable[[], Container[str]]
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    _waiting: int = 0

    def path(self, digest: str) -> Path:
        return self.folder / f"{digest}.pcm"

    async def take(self, file: BinaryIO) -> StoredRecording:
        """Decodes a file and keeps its samples, on disk when this returns. Raises `InvalidRequest` with the reason why
        it is refused, `QueueFull` when too many are being read, `StorageFull`, `StorageDown`."""
        self.space.check()
        if self._waiting >= WAITING:
            raise errors.QueueFull("Too many recordings are being read; try again soon", retry_after=5.0)
        self._waiting += 1
        try:
            async with self._turn:
                await self.threads.run(self.make_room, self.needed())
                return await self._take(file)
        except OSError as e:
            raise errors.StorageFull(f"cannot keep the recording: {e.strerror}", retry_after=10.0) from e
        finally:
            self._waiting -= 1

    async def _take(self, file: BinaryIO) -> StoredRecording:
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f".{os.urandom(8).hex()}.part"
        try:
            with part.open("wb") as out:
                answer = _Answer(out)
                await client.decode("speech_audio", file, answer.take, _MOST, LIMITS)
                # On disk before anything refers to it: a job that was accepted must find it after a power cut.
                await self.threads.run(_sync, out)
            upload = answer.upload()
            await self.threads.run(os.replace, part, self.path(upload.digest))
        finally:
            part.unlink(missing_ok=True)
        # Whoever takes a dead server's job over needs it.
        await self.files.put("uploads", self.path(upload.digest))
        return upload

    async def need(self, digest: str) -> None:
        """Notes the use, and brings the recording here if another server took it in. Raises `NotFound` if it is gone,
        `StorageDown`."""
        path = self.path(digest)
        try:
            os.utime(path)
        except FileNotFoundError:
            if not await self.files.fetch("uploads", path):
                raise errors.NotFound("The recording is no longer here; send it again", param="file") from None

    def make_room(self, needed: Container[str], now: float | None = None) -> None:
        """Removes recordings that no live job needs, the longest unused first, until there is room for another.
        Blocking. Raises `StorageFull` if they are all needed."""
        now = time.time() if now is None else now
        taken = 0
        free: list[tuple[float, int, Path]] = []
        for path, changed in self._files():
            with contextlib.suppress(FileNotFoundError):
                nbytes = path.stat().st_size
                taken += nbytes
                if path.suffix == ".pcm" and path.stem not in needed and now - changed > FRESH:
                    free.append((changed, nbytes, path))
        for _, nbytes, path in sorted(free):
            if taken < self.most:
                return
            path.unlink(missing_ok=True)
            taken -= nbytes
        if taken >= self.most:
            raise errors.StorageFull(
                f"The recordings of waiting jobs take all of the {self.most} bytes that they may (--uploads-bytes)",
                retry_after=60.0,
            )

    def sweep(self, needed: Container[str], now: float | None = None) -> int:
        """Removes what nobody used for long and no live job needs; how many. Blocking."""
        now = time.time() if now is None else now
        gone = 0
        for path, changed in self._files():
            partial = path.suffix == ".part"
            if now - changed > (STALE if partial else KEPT) and path.stem not in needed:
                path.unlink(missing_ok=True)
                gone += 1
        return gone

    def _files(self) -> Iterator[tuple[Path, float]]:
        with contextlib.suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    yield path, path.stat().st_mtime


class _Answer:
    """The child's answer as it comes: the bounds first, then samples, which go to the file."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._hash, self._bytes = out, hashlib.sha256(), 0
        self._head = bytearray()
        self._bounds: list[list[int]] | None = None

    def take(self, part: bytes) -> None:
        if self._bounds is None:
            self._head += part
            size = speech_audio.HEAD.size
            if len(self._head) < size:
                return
            end = size + speech_audio.HEAD.unpack_from(self._head)[0]
            if len(self._head) < end:
                return
            self._bounds = json.loads(self._head[size:end])
            part = bytes(self._head[end:])
        self._out.write(part)
        self._hash.update(part)
        self._bytes += len(part)

    def upload(self) -> StoredRecording:
        samples = self._bytes // 2
        pairs = tuple((int(first), int(last)) for first, last in self._bounds or ())
        if not samples or any(not 0 <= first < last <= samples for first, last in pairs):
            raise errors.InvalidRequest("The audio file cannot be read; send a WAV file")
        return StoredRecording(self._hash.hexdigest(), pairs, samples / speech_audio.RATE)


def _sync(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())
