"""Parts of the server for tests of a single room: with the parts below them, and no bounds unless a test sets them."""

from __future__ import annotations

from pathlib import Path

from antiphon.concurrency.threads import Threads
from antiphon.files.bucket import Bucket
from antiphon.files.disk_space import DiskSpace
from antiphon.files.store import FileStore
from antiphon.references.library import Library
from antiphon.references.service import References
from antiphon.store.base import JobStore
from antiphon.transcription.recordings import RecordingStore


async def _unheard(owner: str, unused: str | None) -> None:
    """Other servers: there are none."""


def references(folder: Path, store: JobStore, threads: Threads, space: DiskSpace | None = None) -> References:
    files = FileStore(folder / "output", threads)
    return References(store, Library(folder / "voices"), threads, files, space or DiskSpace(folder, 0), 2**63, _unheard)


def recordings(folder: Path, threads: Threads, bucket: Bucket | None = None, max_bytes: int = 2**63) -> RecordingStore:
    files = FileStore(folder.parent, threads, bucket)
    return RecordingStore(folder, threads, files, DiskSpace(folder, 0), max_bytes, frozenset)
