"""Disk space: new work is refused while the disk that holds the data is nearly full."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from antiphon.domain import errors

log = structlog.get_logger("antiphon.files")

#: Seconds for which a measurement is used, so that a burst of jobs does not ask the system for each.
MAX_AGE = 0.05
#: Seconds after which a refused client may ask again.
RETRY = 5.0


@dataclass(slots=True)
class DiskSpace:
    """The free space of the disk that holds a folder, measured when a job is about to be accepted."""

    folder: Path
    #: Bytes that must stay free; 0: no limit.
    reserve: int
    _free: int = 0
    _measured_at: float = float("-inf")
    _short: bool = False

    def check(self) -> None:
        """Raises `StorageFull` while less than `reserve` bytes are free."""
        if not self.reserve:
            return
        now = time.monotonic()
        if now - self._measured_at >= MAX_AGE:
            self._free, self._measured_at = shutil.disk_usage(self.folder).free, now
        short = self._free < self.reserve
        if short != self._short:
            self._short = short
            log.warning("disk nearly full, new jobs are refused" if short else "space again", free=self._free)
        if short:
            raise errors.StorageFull(
                f"The disk has {self._free} bytes free and keeps {self.reserve} in reserve (--min-free-bytes), so no "
                "new job is taken; accepted work goes on",
                retry_after=RETRY,
            )
