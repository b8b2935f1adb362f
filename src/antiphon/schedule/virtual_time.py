"""Virtual time: the clock of one queue's fair shares."""

from __future__ import annotations

from antiphon.schedule import fairness
from antiphon.schedule.flow import Flow
from antiphon.schedule.indexed_heap import IndexedHeap


class VirtualTime:
    """In seconds of work for a flow of weight 1."""

    def __init__(self) -> None:
        self.now = 0.0
        #: How many flows share now, by weight: a sum of floats would not come back to 0.
        self._sharing: dict[float, int] = {}
        #: Idle flows whose tag is still ahead: they count as sharing until time has caught up.
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
        flow.start = fairness.start(flow.start, self.now)
        if flow in self._ahead:
            self._ahead.discard(flow)
        else:
            self._share(flow, 1)

    def leave(self, flow: Flow) -> None:
        """The flow has nothing left to do."""
        flow.active = False
        if flow.start > self.now:
            self._ahead.set(flow, flow.start)
        else:
            self._share(flow, -1)

    def charge(self, flow: Flow, seconds: float) -> list[Flow]:
        """Charges a flow for work, or takes back what was charged too much (seconds below 0).

        Returns the idle flows that time has caught up with."""
        flow.start = fairness.charge(flow.start, seconds, flow.weight)
        if not flow.active:
            self._remember(flow)
        self._owed += seconds
        return self._advance()

    def _advance(self) -> list[Flow]:
        passed = []
        while self._owed > 0 and (weight := self.weight) > 0:
            first = self._ahead.first()
            if first is None or fairness.work(self.now, first[0], weight) > self._owed:
                self.now = fairness.advance(self.now, self._owed, weight)
                self._owed = 0.0
                break
            tag, flow = first
            self._owed -= fairness.work(self.now, tag, weight)
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
