"""The flows of one queue: which there are, which take part, and which goes next.

What goes next is the flow with the least `start + quantum / weight`, the quantum being a unit's mean
seconds. Among flows of one class that is the start tag. Between classes it keeps a crowd of newcomers of a
low class, whose tags are all the present time, from going before the second unit of a higher one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from antiphon.domain.job import PRIORITIES, Priority
from antiphon.schedule.flow import Flow, VirtualTime
from antiphon.schedule.indexed_heap import IndexedHeap

#: Part of the way to a new unit's seconds by which the quantum follows.
FOLLOW = 0.05


class FlowTable:
    """Keeps a flow as long as it has jobs, units in flight, or a tag that is ahead of time."""

    def __init__(self, ageing: float, weights: Mapping[str, float]) -> None:
        self._ageing = ageing
        self._weights = {priority: float(weights[priority]) for priority in PRIORITIES}
        self._flows: dict[tuple[str, Priority], Flow] = {}
        self._order: IndexedHeap[Flow] = IndexedHeap()
        self._paused: set[str] = set()
        self.time = VirtualTime()
        #: About the seconds of a unit; 0 before the first.
        self.quantum = 0.0
        self._mean = 0.0

    def __iter__(self) -> Iterator[Flow]:
        """The flows that take part."""
        return iter(self._order)

    def flow(self, client: str, priority: Priority) -> Flow:
        """A client's flow, made if it has none of that class."""
        flow = self._flows.get((client, priority))
        if flow is None:
            flow = Flow(client, priority, self._weights[priority], self._ageing)
            flow.paused = client in self._paused
            self._flows[client, priority] = flow
        return flow

    def of(self, client: str) -> list[Flow]:
        return [flow for priority in PRIORITIES if (flow := self._flows.get((client, priority)))]

    def seconds(self) -> dict[Priority, float]:
        """Predicted seconds that are queued, by class."""
        total: dict[Priority, float] = dict.fromkeys(PRIORITIES, 0.0)
        for flow in self._flows.values():
            total[flow.priority] += flow.seconds
        return total

    def next(self) -> Flow | None:
        first = self._order.first()
        return first[1] if first else None

    @property
    def crowd(self) -> float:
        """Seconds in which a bulk flow is handed one second of work, on one slot."""
        return max(1.0, self.time.weight / self._weights["bulk"])

    def charge(self, flow: Flow, seconds: float) -> None:
        """Books work for a flow, or takes back what was booked too much (below 0)."""
        passed = self.time.charge(flow, seconds)
        self.refresh(flow)
        for other in (*passed, flow):
            self.forget(other)

    def charge_known(self, name: tuple[str, Priority], seconds: float) -> None:
        """`charge` for a flow that there may be, by client and class."""
        flow = self._flows.get(name)
        if flow is not None:
            self.charge(flow, seconds)

    def follow(self, cost: float) -> None:
        """Takes the seconds of a unit into the mean, and that as the quantum once it is off by a factor of two."""
        self._mean += (FOLLOW if self.quantum else 1.0) * (cost - self._mean)
        # Flows must be ranked by the same quantum, or those ranked lately would be favoured or set back.
        if not self.quantum / 2 <= self._mean <= self.quantum * 2:
            self.quantum = self._mean
            for flow in tuple(self._order):
                self.refresh(flow)

    def pause(self, client: str, paused: bool) -> None:
        (self._paused.add if paused else self._paused.discard)(client)
        for flow in self.of(client):
            flow.paused = paused
            self.refresh(flow)

    def refresh(self, flow: Flow) -> None:
        """Lets a flow take part or not, and ranks it: after any change to its line, tag or pause."""
        if not flow.queue.count or flow.paused:
            if flow.active:
                self.time.leave(flow)
                self._order.discard(flow)
            return
        if not flow.active:
            self.time.join(flow)
        self._order.set(flow, flow.start + self.quantum / flow.weight)

    def forget(self, flow: Flow) -> None:
        """Lets go of a flow if there is nothing left to know about it."""
        name = (flow.client, flow.priority)
        # A finished job may still name a flow that was let go, while its client has another by now.
        if self._flows.get(name) is flow and not (flow.jobs or flow.running or self.time.remembers(flow)):
            del self._flows[name]
