"""The disk kept in order: what is too old or too much goes, and new work is refused while space is short."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Container, Iterator
from pathlib import Path

import structlog

from antiphon.domain import errors
from antiphon.imaging import kind as imaging
from antiphon.jobs.service import JobService
from antiphon.references.service import References
from antiphon.settings import Settings
from antiphon.store.base import JobStore
from antiphon.transcription.recordings import RecordingStore

log = structlog.get_logger("antiphon.housekeeping")

#: Seconds between looks at the sizes, and between removals of what is too old.
LOOK, SWEEP = 30.0, 3600.0
#: Seconds for which the free space is believed: under a burst of jobs the system need not be asked for each.
FRESH = 0.05
#: Seconds after which a refused client may ask again.
RETRY = 5.0
#: Seconds for which a finished file stays whatever the quota says: somebody was just told its name.
GRACE = 60.0
#: Seconds for which a recording that came inside a request stays whatever the quota says: its job may be waiting.
RECORDING_GRACE = 86400.0


#: What the names of finished files begin with.
PRODUCTS = frozenset({"speech", "transcript", "image"})


class Retention:
    """Quotas and retention. `check_space` and `check_voices` are asked before anything new is kept."""

    def __init__(
        self, settings: Settings, store: JobStore, jobs: JobService, references: References, uploads: RecordingStore
    ) -> None:
        self._settings, self._store, self._jobs = settings, store, jobs
        self._references, self._uploads, self._depot = references, uploads, jobs.files
        self._short = False
        self._free, self._asked = 0, float("-inf")
        #: Bytes of voices at the last look, and of those that came since.
        self._voices = 0

    def check_space(self) -> None:
        """Raises `StorageFull` while less than `min_free_bytes` are free; passes by itself once they are."""
        least = self._settings.min_free_bytes
        if not least:
            return
        now = time.monotonic()
        if now - self._asked >= FRESH:
            self._free, self._asked = shutil.disk_usage(self._settings.data_dir).free, now
        free = self._free
        short = free < least
        if short != self._short:
            self._short = short
            log.warning("disk nearly full, new jobs are refused" if short else "space again", free=free)
        if short:
            raise errors.StorageFull(
                f"The disk has {free} bytes free and keeps {least} in reserve (--min-free-bytes), so no new job "
                "is taken; accepted work goes on",
                retry_after=RETRY,
            )

    def check_voices(self) -> None:
        """Raises `StorageFull` or `Conflict` when no recording can be kept. Named voices are never removed for room."""
        self.check_space()
        if self._voices >= self._settings.voices_bytes:
            raise errors.Conflict(
                f"The voices take all of the {self._settings.voices_bytes} bytes that they may (--voices-bytes); "
                "delete some first"
            )

    def voice_read(self, nbytes: int) -> None:
        self._voices += nbytes

    # Over time

    async def run(self) -> None:
        swept = float("-inf")
        while True:
            try:
                if time.monotonic() - swept >= SWEEP:
                    swept = time.monotonic()
                    await self.retire()
                await self.trim()
            except errors.StorageFull:
                log.warning("housekeeping waits for space itself")
            except (errors.StorageDown, errors.StoreError) as e:
                log.warning("housekeeping goes on when the others answer", error=e.message)
            except OSError as e:
                log.error("housekeeping failed, it will be tried again", error=repr(e), again_in=LOOK)
            await asyncio.sleep(LOOK)

    async def retire(self) -> None:
        """Removes jobs, files and recordings that are older than `keep_days`."""
        seconds = self._settings.keep_days * 86400
        gone = filter(None, await self._store.prune(time.time() - seconds))
        await self._depot.remove(file for name in gone for file in imaging.siblings(name))
        if self._store.cluster is not None:
            # Another server may have taken the row away.
            await self._jobs.threads.run(trim, self._settings.output_path, 0, frozenset(self._jobs.active), seconds)
        await self._references.sweep(seconds)
        await self._depot.sweep(self._settings, self._store.digest_used)
        await self._jobs.threads.run(self._uploads.sweep, self._jobs.sources())

    async def trim(self) -> None:
        """Brings output and voices under their quotas."""
        s = self._settings
        run = self._jobs.threads.run
        active = frozenset(self._jobs.active)
        removed, freed = await run(trim, s.output_path, s.output_bytes, active)
        if removed:
            log.info("output over its quota, oldest files removed", files=removed, bytes=freed)
        folder = self._references.library.directory
        age = s.keep_days * 86400
        while await run(size, folder) > s.voices_bytes and age > RECORDING_GRACE:
            age = max(age / 2, RECORDING_GRACE)
            await self._references.sweep(age)
        self._voices = await run(size, folder)


def trim(folder: Path, quota: int, spared: Container[str], grace: float = GRACE) -> tuple[int, int]:
    """Removes finished files, oldest first, until the folder has at most `quota` bytes: (files, bytes) removed.

    Those of jobs whose id is `spared`, and those younger than `grace` seconds, stay. Blocking.
    """
    # Mostly there is nothing to do; that is found out without a list of all that is there.
    total = size(folder)
    if total <= quota:
        return 0, 0
    before = time.time() - grace
    files = freed = 0
    for changed, nbytes, name in sorted(_files(folder)):
        if total - freed <= quota or changed > before:
            break
        stem = name.partition(".")[0]
        what, _, rest = stem.partition("_")
        if what not in PRODUCTS or rest.partition("_")[0] in spared:
            continue
        (folder / name).unlink(missing_ok=True)
        files, freed = files + 1, freed + nbytes
    return files, freed


def size(folder: Path) -> int:
    """Bytes of the files in a folder; 0 if there is none. Blocking."""
    return sum(nbytes for _, nbytes, _ in _files(folder))


def _files(folder: Path) -> Iterator[tuple[float, int, str]]:
    """(time of the last change, bytes, name) of the plain files, one by one: there may be a hundred thousand."""
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    stat = entry.stat(follow_symlinks=False)
                    yield stat.st_mtime, stat.st_size, entry.name
