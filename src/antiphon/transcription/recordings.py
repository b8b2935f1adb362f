"""Recordings: stores audio for transcription, decoded once, under its digest, until no job needs it."""

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

#: Recordings that are decoded at the same time, and those that may wait for it.
CONCURRENT, WAITING = 2, 16
#: Seconds for which a recording stays after its last use, so that a job can be retried.
KEEP = 24 * 3600.0
#: Seconds after which a temporary file of a previous process is removed.
KEEP_PARTIAL = 3600.0
#: Seconds for which a recording stays even if room is needed: its job may be about to be created.
GRACE = 60.0
LIMITS = client.Limits(memory=3 * 1024**3, cpu=300, wall=600.0)
#: Bytes of the longest answer of the sandbox.
_MAX_ANSWER = int(2 * speech_audio.RATE * (speech_audio.MAX_SECONDS + 1)) + 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """A recording in the store, as a request refers to it."""

    #: SHA-256 of the samples, hexadecimal.
    digest: str
    #: Bounds of the pieces that contain sound, in samples: (first, one after the last).
    bounds: tuple[tuple[int, int], ...]
    seconds: float


@dataclass(slots=True)
class RecordingStore:
    """Files `folder/<digest>.pcm`: mono 16-bit PCM at 16 kHz. Used in one event loop, except for blocking methods."""

    folder: Path
    threads: Threads
    files: FileStore
    space: DiskSpace
    #: Quota in bytes for all recordings.
    max_bytes: int
    #: Gives the digests that active jobs need.
    needed: Callable[[], Container[str]]
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONCURRENT))
    _waiting: int = 0

    def path(self, digest: str) -> Path:
        return self.folder / f"{digest}.pcm"

    async def put(self, file: BinaryIO) -> StoredRecording:
        """Decodes a file and stores its samples, which are on disk when this returns. Raises `InvalidRequest` with the
        reason for a refusal, `QueueFull` while too many are being decoded, `StorageFull`, `StorageDown`."""
        self.space.check()
        if self._waiting >= WAITING:
            raise errors.QueueFull("Too many recordings are being read; try again soon", retry_after=5.0)
        self._waiting += 1
        try:
            async with self._turn:
                await self.threads.run(self.make_room, self.needed())
                return await self._decode(file)
        except OSError as e:
            raise errors.StorageFull(f"cannot keep the recording: {e.strerror}", retry_after=10.0) from e
        finally:
            self._waiting -= 1

    async def _decode(self, file: BinaryIO) -> StoredRecording:
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f".{os.urandom(8).hex()}.part"
        try:
            with part.open("wb") as out:
                answer = _Answer(out)
                await client.decode("speech_audio", file, answer.feed, _MAX_ANSWER, LIMITS)
                # On disk before a job refers to it: an accepted job must find it after a power cut.
                await self.threads.run(_sync, out)
            recording = answer.recording()
            await self.threads.run(os.replace, part, self.path(recording.digest))
        finally:
            part.unlink(missing_ok=True)
        # A server that takes over the job needs the recording.
        await self.files.put("uploads", self.path(recording.digest))
        return recording

    async def ensure_local(self, digest: str) -> None:
        """Notes the use of a recording, and fetches it if only another server has it. Raises `NotFound` if no server
        has it, `StorageDown`."""
        path = self.path(digest)
        try:
            os.utime(path, follow_symlinks=False)
            if path.is_symlink():
                path.unlink()
                raise FileNotFoundError(path)
        except FileNotFoundError:
            if not await self.files.fetch("uploads", path):
                raise errors.NotFound("The recording is no longer here; send it again", param="file") from None

    def make_room(self, needed: Container[str], now: float | None = None) -> None:
        """Removes recordings that no active job needs, the longest unused first, until there is room for another.
        Blocking. Raises `StorageFull` if too many are needed."""
        now = time.time() if now is None else now
        taken = 0
        free: list[tuple[float, int, Path]] = []
        for path, changed in self._files():
            with contextlib.suppress(FileNotFoundError):
                nbytes = path.stat().st_size
                taken += nbytes
                if path.suffix == ".pcm" and path.stem not in needed and now - changed > GRACE:
                    free.append((changed, nbytes, path))
        for _, nbytes, path in sorted(free):
            if taken < self.max_bytes:
                return
            path.unlink(missing_ok=True)
            taken -= nbytes
        if taken >= self.max_bytes:
            why = f"The recordings of waiting jobs take all of the {self.max_bytes} bytes that they may"
            raise errors.StorageFull(f"{why} (--uploads-bytes)", retry_after=60.0)

    def sweep(self, needed: Container[str], now: float | None = None) -> int:
        """Removes recordings that were not used for `KEEP` seconds and that no active job needs; returns how many.
        Blocking."""
        now = time.time() if now is None else now
        removed = 0
        for path, changed in self._files():
            partial = path.suffix == ".part"
            if now - changed > (KEEP_PARTIAL if partial else KEEP) and path.stem not in needed:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _files(self) -> Iterator[tuple[Path, float]]:
        with contextlib.suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    yield path, path.stat().st_mtime


class _Answer:
    """Parses the child's answer as it arrives: first the bounds, then samples, which it writes to the file."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._hash, self._bytes = out, hashlib.sha256(), 0
        self._head = bytearray()
        self._bounds: list[list[int]] | None = None

    def feed(self, part: bytes) -> None:
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

    def recording(self) -> StoredRecording:
        """The complete recording. Raises `InvalidRequest` for an answer without samples or with wrong bounds."""
        samples = self._bytes // 2
        pairs = tuple((int(first), int(last)) for first, last in self._bounds or ())
        if not samples or any(not 0 <= first < last <= samples for first, last in pairs):
            raise errors.InvalidRequest("The audio file cannot be read; send a WAV file")
        return StoredRecording(self._hash.hexdigest(), pairs, samples / speech_audio.RATE)


def _sync(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())
