"""A flow: one client's work of one class in one queue, which is what shares are given to."""

from __future__ import annotations

from antiphon.domain.job import Priority
from antiphon.schedule.lanes import Lanes


class Flow:
    """Its place in the fair order (see `fairness`), its jobs in order, and what it has queued."""

    __slots__ = ("active", "client", "jobs", "lanes", "paused", "priority", "running", "seconds", "start", "weight")

    def __init__(self, client: str, priority: Priority, weight: float, ageing: float) -> None:
        self.client, self.priority, self.weight = client, priority, weight
        #: Start tag: the virtual time at which its next unit starts.
        self.start = 0.0
        #: The jobs that units can be handed out of: not those that are paused or were moved to the front.
        self.lanes = Lanes(ageing)
        #: Jobs and predicted seconds that are queued, in `lanes` or not.
        self.jobs, self.seconds = 0, 0.0
        #: Units in flight that it was charged for.
        self.running = 0
        self.paused = False
        #: Whether it shares: something is in its lanes and it is not paused.
        self.active = False

    def count(self, jobs: int, seconds: float) -> None:
        """Adds to the sums of what is queued; numbers below 0 take away."""
        self.jobs += jobs
        self.seconds = max(0.0, self.seconds + seconds) if self.jobs else 0.0
