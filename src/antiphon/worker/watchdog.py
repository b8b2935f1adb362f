"""A watchdog: when a worker last gave a sign of life, and whether it has been silent, or starting, for too long."""

from __future__ import annotations

from antiphon.worker.exit_reason import ExitReason
from antiphon.worker.limits import WorkerLimits

#: Seconds between two checks.
TICK = 0.25


class Watchdog:
    """Pure: `now` is monotonic seconds."""

    def __init__(self, limits: WorkerLimits, now: float) -> None:
        self._limits = limits
        self.reset(now)

    def reset(self, now: float) -> None:
        """The process starts now."""
        self._seen = self._begun = self._checked = now

    def seen(self, now: float) -> None:
        """The process gave a sign of life."""
        self._seen = now

    def check(self, now: float, ready: bool) -> ExitReason | None:
        """Why the process must be killed; None if it need not be. Called every `TICK` seconds."""
        if (late := now - self._checked - TICK) > TICK:
            # The server itself did not run: what the worker sent meanwhile is not read yet.
            self._seen += late
        self._checked = now
        silence = self._limits.heartbeat_timeout if ready else self._limits.start_silence
        if now - self._seen > silence:
            return ExitReason(f"no heartbeat for {silence:g} s", fault=True)
        if not ready and now - self._begun > self._limits.load_timeout:
            return ExitReason(f"not ready {self._limits.load_timeout:g} s after its start", fault=True)
        return None
