"""Data folder: made when the server starts, and locked as long as the server runs."""

from __future__ import annotations

import fcntl
from typing import IO

from antiphon.domain import errors
from antiphon.settings import Settings


class DataFolder:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock: IO[str] | None = None

    async def start(self) -> None:
        """Raises `Conflict` if another server uses the folder."""
        s = self._settings
        for path in (s.data_dir, s.output_path, s.cache_path, s.models_path):
            path.mkdir(parents=True, exist_ok=True)
        lock = (s.data_dir / "antiphon.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            lock.close()
            why = f"another Antiphon already uses {s.data_dir}; stop it, or give this one its own --data-dir"
            raise errors.Conflict(why) from e
        self._lock = lock

    async def stop(self) -> None:
        if self._lock is not None:
            self._lock.close()
