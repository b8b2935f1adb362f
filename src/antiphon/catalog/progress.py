"""Progress: how far a pull is, in bytes of the whole model, with the rate and the time left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Phase = Literal["waiting", "listing", "downloading", "assembling", "verifying", "done"]

#: Seconds of history from which the rate is computed.
WINDOW = 10.0
#: The fewest seconds between two reports of the same phase.
INTERVAL = 0.2


@dataclass(frozen=True, slots=True)
class PullProgress:
    #: The file that is being fetched.
    file: str
    #: The host that sends it, or `package index`; empty while nothing is fetched.
    source: str
    #: Bytes of all the model's files, including those that existed before.
    bytes_done: int
    bytes_total: int
    #: Seconds left at the rate of the last seconds; None while there is no rate.
    eta: float | None
    #: waiting (another process fetches the same model), listing (asking a hub for the files), downloading,
    #: assembling, verifying, done.
    phase: Phase


class Meter:
    """Counts one pull and reports it, at most five times a second within a phase."""

    def __init__(
        self, total: int, report: Callable[[PullProgress], None] | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._report, self._clock = total, report or (lambda progress: None), clock
        self._finished = self._current = self._fresh = 0
        self._file = self._source = ""
        self._phase: Phase = "verifying"
        self._samples: deque[tuple[float, int]] = deque()
        self._reported = float("-inf")

    def phase(self, phase: Phase, file: str = "", source: str = "") -> None:
        self._phase, self._file, self._source = phase, file, source
        self._tell(force=True)

    def at(self, current: int) -> None:
        """Sets the bytes of the current file, without counting them for the rate."""
        self._current = current
        self._tell(force=False)

    def fresh(self, count: int) -> None:
        """Counts bytes of the current file that just arrived."""
        self._fresh += count
        now = self._clock()
        self._samples.append((now, self._fresh))
        while self._samples[0][0] < now - WINDOW:
            self._samples.popleft()
        self.at(self._current + count)

    def expect(self, total: int) -> None:
        """Sets the bytes of the whole model."""
        self._total = total

    def skip(self, size: int) -> None:
        """Counts bytes of the model that existed before the pull."""
        self._finished += size

    def finish(self, size: int) -> None:
        """Counts the current file as complete and verified."""
        self._finished, self._current = self._finished + size, 0
        self._tell(force=True)

    def _eta(self, done: int) -> float | None:
        if len(self._samples) < 2 or self._phase != "downloading":
            return None
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        if end <= start or after <= before:
            return None
        return (self._total - done) * (end - start) / (after - before)

    def _tell(self, force: bool) -> None:
        now = self._clock()
        if not force and now - self._reported < INTERVAL:
            return
        self._reported = now
        done = min(self._finished + self._current, self._total)
        self._report(PullProgress(self._file, self._source, done, self._total, self._eta(done), self._phase))
