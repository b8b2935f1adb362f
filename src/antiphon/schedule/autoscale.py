"""Autoscaling: how many workers a queue needs. More at once; fewer once that has been enough for a while. Pure."""

from __future__ import annotations

import math
from collections import deque


class AutoscalePolicy:
    """The number of workers of one model, between two bounds."""

    def __init__(self, least: int, most: int, seconds: float, settle: float) -> None:
        """`seconds`: in about this time all queued work is to be done. `settle`: seconds for which fewer workers must
        have been enough before one is stopped, since loading it again takes long. 1 <= least <= most."""
        if not 1 <= least <= most or seconds <= 0:
            raise ValueError(f"no autoscaling policy has {least} to {most} workers for {seconds} s")
        self.least, self.most = least, most
        self._seconds, self._settle = seconds, settle
        #: (time, workers) of past calls that no later call exceeds, oldest and greatest first.
        self._past: deque[tuple[float, int]] = deque()

    def workers(self, backlog: float, slots: int, now: float) -> int:
        """The number of workers to have. `backlog`: predicted seconds of all queued and running units, on one slot;
        `slots`: of one worker; `now`: monotonic seconds, never less than in the last call."""
        needed = backlog / (self._seconds * max(1, slots))
        wanted = self.most if needed >= self.most else max(self.least, math.ceil(needed))
        while self._past and self._past[-1][1] <= wanted:
            self._past.pop()
        self._past.append((now, wanted))
        while self._past[0][0] < now - self._settle:
            self._past.popleft()
        return self._past[0][1]
