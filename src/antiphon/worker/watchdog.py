"""A watchdog: when a worker last gave a sign of life, and whether it has been silent, or starting, for too long."""

from __future__ import annotations

from antiphon.worker.exit_reason import ExitReason
from antiphon.worker.limits import WorkerLimits

#: Seconds between two checks.
TICK = 0.25


class Watchdog:
    """Pure: `now` is monotonic seconds."""

    def __init__(self, limits: WorkerLimits, now: float) -> None:
        self.limits = limits
        self.reset(now)

    def reset(self, now: float) -> None:
        """The process starts now."""
        self._seen = self._begun = self._checked = self._stepped = now
        self._steps: int | None = None

    def seen(self, now: float) -> None:
        """The process gave a sign of life."""
        self._seen = now

    def steps(self, count: int | None, now: float) -> None:
        """How many steps a batching engine has made; None: the engine makes none."""
        if count != self._steps:
            self._steps, self._stepped = count, now

    def check(self, now: float, ready: bool, *, busy: bool = False) -> ExitReason | None:
        """Why the process must be killed; None if it need not be. Called every `TICK` seconds.

        `busy`: it has units to compute."""
        if (late := now - self._checked - TICK) > TICK:
            # The server itself did not run: what the worker sent meanwhile is not read yet.
            self._seen += late
            self._stepped += late
        self._checked = now
        if not busy:
            self._stepped = now
        if self._steps is not None and now - self._stepped > self.limits.step_timeout:
            return ExitReason(f"a step took longer than {self.limits.step_timeout:g} s", fault=True)
        silence = self.limits.heartbeat_timeout if ready else self.limits.start_silence
        if now - self._seen > silence:
            return ExitReason(f"no heartbeat for {silence:g} s", fault=True)
        if not ready and now - self._begun > self.limits.load_timeout:
            return ExitReason(f"not ready {self.limits.load_timeout:g} s after its start", fault=True)
        return None
