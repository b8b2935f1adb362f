"""How many workers a queue is worth: up at once, down when it stayed short for a while. Pure; time is passed in."""

from __future__ import annotations

import math
from collections import deque


class AutoscalePolicy:
    """One model's number of workers, between two bounds."""

    def __init__(self, least: int, most: int, seconds: float, settle: float) -> None:
        """`seconds`: in about so many everything that waits is to be done; `settle`: for so many fewer must have been
        enough before one goes, since it is loaded again for longer than a moment's quiet; 1 <= least <= most."""
        if not 1 <= least <= most or seconds <= 0:
            raise ValueError(f"not a scale: {least} to {most} workers for {seconds} s")
        self.least, self.most = least, most
        self._seconds, self._settle = seconds, settle
        #: (when, workers) of past looks whose worth no later one exceeds, oldest and greatest first.
        self._past: deque[tuple[float, int]] = deque()

    def workers(self, backlog: float, slots: int, now: float) -> int:
        """The workers that should be there. `backlog`: predicted seconds of all that waits and runs, on one slot;
        `slots`: of one worker; `now`: monotonic seconds, never less than at the last look."""
        worth = backlog / (self._seconds * max(1, slots))
        wanted = self.most if worth >= self.most else max(self.least, math.ceil(worth))
        while self._past and self._past[-1][1] <= wanted:
            self._past.pop()
        self._past.append((now, wanted))
        while self._past[0][0] < now - self._settle:
            self._past.popleft()
        return self._past[0][1]
