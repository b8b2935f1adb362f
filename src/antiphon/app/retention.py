"""Retention: files and recordings that are too old or too many are removed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container
from pathlib import Path

import structlog

from antiphon.concurrency.tasks import TaskSet
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.files.folders import trim_folder
from antiphon.files.store import DAY, FileStore
from antiphon.jobs.kind import Kinds
from antiphon.jobs.lifecycle import JobLifecycle
from antiphon.references.service import References
from antiphon.settings import Settings
from antiphon.store.base import JobStore
from antiphon.transcription.recordings import RecordingStore

log = structlog.get_logger("antiphon.retention")

#: Seconds between looks at the sizes, and between removals of what is too old.
LOOK, SWEEP = 30.0, 3600.0
#: Seconds for which a finished file stays whatever the quota says: a client was just given its name.
GRACE = 60.0


class Retention:
    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        files: FileStore,
        references: References,
        recordings: RecordingStore,
        lifecycle: JobLifecycle,
        kinds: Kinds,
        threads: Threads,
    ) -> None:
        self._settings, self._store, self._files = settings, store, files
        self._references, self._recordings, self._lifecycle = references, recordings, lifecycle
        self._by_prefix, self._threads = {kind.file_prefix: kind for kind in kinds.values()}, threads
        self._tasks = TaskSet()

    async def start(self) -> None:
        self._tasks.spawn(self._run(), "retention")

    async def stop(self) -> None:
        await self._tasks.stop()

    async def _run(self) -> None:
        swept = float("-inf")
        while True:
            try:
                if time.monotonic() - swept >= SWEEP:
                    swept = time.monotonic()
                    await self.retire()
                await self.trim()
            except errors.StorageFull:
                log.warning("retention itself waits for space")
            except (errors.StorageDown, errors.StoreError) as e:
                log.warning("retention goes on when store and storage answer", error=e.message)
            except OSError as e:
                log.error("retention failed, it will be tried again", error=repr(e), again_in=LOOK)
            await asyncio.sleep(LOOK)

    async def retire(self) -> None:
        """Removes jobs, files and recordings that are older than `keep_days`."""
        s = self._settings
        seconds = s.keep_days * DAY
        for name in await self._store.prune(time.time() - seconds):
            kind = self._by_prefix.get(name.partition("_")[0])
            await self._files.remove(kind.file_names(name) if kind is not None else filter(None, (name,)))
        if self._store.cluster is not None:
            # Another server may have removed the row.
            await self._trim_output(0, seconds)
        await self._references.sweep(seconds)
        await self._files.sweep(seconds, s.objects_days * DAY, self._store.digest_used)
        await self._threads.run(self._recordings.sweep, self._lifecycle.sources())

    async def trim(self) -> None:
        """Brings output and recordings under their quotas."""
        removed, freed = await self._trim_output(self._settings.output_bytes, GRACE)
        if removed:
            log.info("output over its quota, oldest files removed", files=removed, bytes=freed)
        await self._references.trim(self._settings.keep_days * DAY)

    async def _trim_output(self, quota: int, grace: float) -> tuple[int, int]:
        spared = frozenset(self._lifecycle.active)
        return await self._threads.run(trim, self._settings.output_path, quota, spared, self._by_prefix, grace)


def trim(
    folder: Path, quota: int, spared: Container[str], prefixes: Container[str], grace: float = GRACE
) -> tuple[int, int]:
    """Removes finished files, oldest first, until the folder has at most `quota` bytes: (files, bytes) removed. Those
    of jobs whose id is `spared`, those younger than `grace` seconds, and files whose name does not begin with one of
    the `prefixes` stay. Blocking."""

    def removable(name: str) -> bool:
        prefix, _, rest = name.partition(".")[0].partition("_")
        return prefix in prefixes and rest.partition("_")[0] not in spared

    return trim_folder(folder, quota, removable, grace)
