"""Flows, and the virtual time that shares slots between them.

A flow is one client's work of one class. Each has a start tag: the virtual time at which its next unit starts. A unit
of c seconds moves the tag on by c / weight, and the flow with the least tag goes next (Goyal, Vin and Cheng,
"Start-time Fair Queueing", 1996). A flow that had nothing to do starts at the present virtual time or where it left
off, whichever is later: idling earns nothing, and leaving does not wipe out what was had. While it is busy its tag
follows from its own work alone; taking the later of the two at every unit would give the heavier flow everything.

For c seconds handed out virtual time moves on by c / (sum of the weights that share), as if all were served at once.
So it never stands still. In the paper it is the tag of what is served, which stands still while newcomers that come
once are served, and as long as they keep coming everybody else would starve.
"""

from __future__ import annotations

from antiphon.domain.job import Priority
from antiphon.schedule.aging_srpt import AgingSrptQueue
from antiphon.schedule.indexed_heap import IndexedHeap


class Flow:
    """One client's work of one class in one queue."""

    __slots__ = ("active", "client", "jobs", "paused", "priority", "queue", "running", "seconds", "start", "weight")

    def __init__(self, client: str, priority: Priority, weight: float, ageing: float) -> None:
        self.client, self.priority, self.weight = client, priority, weight
        #: Virtual time at which its next unit starts.
        self.start = 0.0
        #: What can be handed out. Paused jobs and those moved to the front are not in it.
        self.queue = AgingSrptQueue(ageing)
        #: Jobs and predicted seconds that are queued, in the line or not.
        self.jobs = 0
        self.seconds = 0.0
        #: Units in flight that it was charged for.
        self.running = 0
        self.paused = False
        #: Takes part in the sharing: something is in its line and it is not paused.
        self.active = False

    def count(self, jobs: int, seconds: float) -> None:
        self.jobs += jobs
        self.seconds = max(0.0, self.seconds + seconds) if self.jobs else 0.0


class VirtualTime:
    """The virtual clock of one queue, in seconds of work for a flow of weight 1."""

    def __init__(self) -> None:
        self.now = 0.0
        #: Flows that share now, by weight: a sum of floats would not come back to 0.
        self._sharing: dict[float, int] = {}
        #: Flows with nothing to do whose tag is still ahead: what they had counts until time has caught up.
        self._ahead: IndexedHeap[Flow] = IndexedHeap()
        #: Seconds of work by which `now` has not moved yet; below 0 after work turned out to be shorter.
        self._owed = 0.0

    @property
    def weight(self) -> float:
        """Sum of the weights of the flows that share."""
        return sum(weight * count for weight, count in self._sharing.items())

    def remembers(self, flow: Flow) -> bool:
        return flow in self._ahead

    def join(self, flow: Flow) -> None:
        """The flow has something to do."""
        flow.active = True
        flow.start = max(self.now, flow.start)
        if flow in self._ahead:
            self._ahead.discard(flow)
        else:
            self._share(flow, 1)

    def leave(self, flow: Flow) -> None:
        """The flow has nothing to do any more."""
        flow.active = False
        if flow.start > self.now:
            self._ahead.set(flow, flow.start)
        else:
            self._share(flow, -1)

    def charge(self, flow: Flow, seconds: float) -> list[Flow]:
        """Books work done for a flow, or takes back what was booked too much (below 0).

        Returns the flows with nothing to do that time has caught up with.
        """
        flow.start += seconds / flow.weight
        if not flow.active:
            self._remember(flow)
        self._owed += seconds
        return self._advance()

    def _advance(self) -> list[Flow]:
        passed = []
        while self._owed > 0 and (weight := self.weight) > 0:
            first = self._ahead.first()
            if first is None or (first[0] - self.now) * weight > self._owed:
                self.now += self._owed / weight
                self._owed = 0.0
                break
            tag, flow = first
            self._owed -= (tag - self.now) * weight
            self.now = tag
            self._ahead.discard(flow)
            self._share(flow, -1)
            passed.append(flow)
        return passed

    def _remember(self, flow: Flow) -> None:
        """Keeps an idle flow among those ahead exactly while its tag is ahead."""
        if flow.start > self.now:
            if flow not in self._ahead:
                self._share(flow, 1)
            self._ahead.set(flow, flow.start)
        elif flow in self._ahead:
            self._ahead.discard(flow)
            self._share(flow, -1)

    def _share(self, flow: Flow, by: int) -> None:
        self._sharing[flow.weight] = self._sharing.get(flow.weight, 0) + by
