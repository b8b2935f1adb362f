"""The flow table: the flows of one queue, which of them share, and which goes next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from antiphon.domain.job import PRIORITIES, Priority
from antiphon.schedule import fairness
from antiphon.schedule.flow import Flow
from antiphon.schedule.indexed_heap import IndexedHeap
from antiphon.schedule.queue_policy import FlowName
from antiphon.schedule.virtual_time import VirtualTime

#: Part of the way by which the quantum's mean follows a new unit's seconds.
FOLLOW = 0.05


class FlowTable:
    """Keeps a flow as long as it has jobs, units in flight, or a tag that is ahead of virtual time."""

    def __init__(self, ageing: float, weights: Mapping[str, float]) -> None:
        self._ageing = ageing
        self._weights = {priority: float(weights[priority]) for priority in PRIORITIES}
        self._flows: dict[FlowName, Flow] = {}
        self._order: IndexedHeap[Flow] = IndexedHeap()
        #: Those of them that have jobs for which somebody waits.
        self._waiting: IndexedHeap[Flow] = IndexedHeap()
        self._paused: set[str] = set()
        self.time = VirtualTime()
        #: About the mean of a unit's seconds (see `fairness.rank`); 0 before the first unit.
        self.quantum = 0.0
        self._mean = 0.0

    def __iter__(self) -> Iterator[Flow]:
        """The flows that share."""
        return iter(self._order)

    def flow(self, client: str, priority: Priority) -> Flow:
        """A client's flow of a class; a new one if it has none."""
        flow = self._flows.get((client, priority))
        if flow is None:
            flow = self._flows[client, priority] = Flow(client, priority, self._weights[priority], self._ageing)
            flow.paused = client in self._paused
        return flow

    def of(self, client: str) -> list[Flow]:
        """A client's flows, of every class."""
        return [flow for priority in PRIORITIES if (flow := self._flows.get((client, priority)))]

    def seconds(self) -> dict[Priority, float]:
        """Predicted seconds that are queued, by class."""
        total: dict[Priority, float] = dict.fromkeys(PRIORITIES, 0.0)
        for flow in self._flows.values():
            total[flow.priority] += flow.seconds
        return total

    def next(self, waiting: bool = False) -> Flow | None:
        """The flow with the least rank, of those with waiting jobs if so asked; None if none shares."""
        return first[1] if (first := (self._waiting if waiting else self._order).first()) else None

    @property
    def crowd(self) -> float:
        """Seconds in which a bulk flow is handed one second of work, on one slot."""
        return max(1.0, self.time.weight / self._weights["bulk"])

    def charge(self, flow: Flow, seconds: float) -> None:
        """Charges a flow for work, or takes back what was charged too much (seconds below 0)."""
        passed = self.time.charge(flow, seconds)
        self.refresh(flow)
        for other in (*passed, flow):
            self.forget(other)

    def charge_known(self, name: FlowName, seconds: float) -> None:
        """`charge` by a flow's name; does nothing if there is no such flow."""
        if (flow := self._flows.get(name)) is not None:
            self.charge(flow, seconds)

    def follow(self, cost: float) -> None:
        """Takes a unit's seconds into the mean, and the mean as the quantum once that is off by a factor of two."""
        self._mean += (FOLLOW if self.quantum else 1.0) * (cost - self._mean)
        # All flows must be ranked by the same quantum, or those ranked last would be favoured or set back.
        if not self.quantum / 2 <= self._mean <= self.quantum * 2:
            self.quantum = self._mean
            for flow in tuple(self._order):
                self.refresh(flow)

    def pause(self, client: str, paused: bool) -> None:
        """Pauses or resumes all flows of a client, those to come included."""
        (self._paused.add if paused else self._paused.discard)(client)
        for flow in self.of(client):
            flow.paused = paused
            self.refresh(flow)

    def refresh(self, flow: Flow) -> None:
        """Lets a flow share or not, and ranks it. Called after every change of its lanes, tag or pause."""
        if not flow.lanes.count or flow.paused:
            if flow.active:
                self.time.leave(flow)
                self._order.discard(flow)
                self._waiting.discard(flow)
            return
        if not flow.active:
            self.time.join(flow)
        rank = fairness.rank(flow.start, flow.weight, self.quantum)
        self._order.set(flow, rank)
        if flow.lanes.waiting.count:
            self._waiting.set(flow, rank)
        else:
            self._waiting.discard(flow)

    def forget(self, flow: Flow) -> None:
        """Drops a flow if nothing is left to know about it."""
        name = (flow.client, flow.priority)
        # A finished job may still refer to a flow that was dropped, while its client has a newer one.
        if self._flows.get(name) is flow and not (flow.jobs or flow.running or self.time.remembers(flow)):
            del self._flows[name]
