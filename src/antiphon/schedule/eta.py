"""Outlook: when a job will be done and how many go before it, if nothing else arrives.

This is the fluid limit of the queue's rule. In the limit of small units every flow is handed work at its share, so
by the time a unit with tag K is handed out, a flow with tag S and weight w was handed w·(K - S) seconds, or all it
has. The sum over the flows is the work that goes before that unit. What is not fluid is put back in: a flow has been
handed half a unit more than its share on average, and a unit starts when the first slot comes free, not when all
are level.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate

from antiphon.schedule.flow import Flow
from antiphon.schedule.flow_table import FlowTable
from antiphon.schedule.ticket import Ticket

#: Units that are laid onto slots one by one; more are taken as a fluid.
ONE_BY_ONE = 16
#: Seconds of virtual time by which equal tags may seem to differ.
SAME = 1e-9
#: How often an estimate is made again, with the line as it will be after this part of it, until it moves no more.
LOOKS, LATER, NEAR = 2, 0.65, 0.05


class EtaEstimator:
    """What comes of a queue as it is at one moment. Built in O(1); `handed` is built when first needed."""

    def __init__(
        self, flows: FlowTable, front: Sequence[Ticket], slots: int, busy: Sequence[float], now: float
    ) -> None:
        """`front`: jobs that go before all flows, the next one last. `busy`: seconds of units that run."""
        self._flows, self._front = tuple(flows), front
        self._quantum, self._virtual = flows.quantum, flows.time.now
        self._slots, self._busy, self._now = slots, busy, now
        self._before = sum(ticket.remaining for ticket in front)
        #: The last look at a line: whose, when, and what was ahead.
        self._look: tuple[Ticket, float, tuple[int, float]] | None = None

    def eta(self, ticket: Ticket) -> float:
        """Seconds until the last unit of a job is done."""
        flying, flow = ticket.in_flight_seconds(self._now), ticket.flow
        if flow is None or ticket.place == "":
            return flying
        if ticket.place == "front":
            behind = self._front[self._front.index(ticket) :]
            work = sum(other.remaining for other in behind) - ticket.last_cost
            return max(flying, self._end(ticket, work))
        seconds = self._end(ticket, self._work(ticket, flow, self._now))
        for _ in range(LOOKS if len(flow.queue.buckets) > 1 else 0):
            # Whoever is ahead now may be overtaken while both wait: ageing favours the older the less, the later it is.
            again = self._end(ticket, self._work(ticket, flow, self._now + LATER * seconds))
            if abs(again - seconds) <= NEAR * seconds:
                break
            seconds = again
        return max(flying, seconds)

    def _work(self, ticket: Ticket, flow: Flow, at: float) -> float:
        """Seconds of work before the job's last unit, if its flow's line is ordered as it will be at `at`."""
        own = self._ahead(ticket, flow, at)[1] + ticket.remaining - ticket.last_cost
        key = self._key(flow, own)
        others = self._handed(key) - (handed(flow, key, self._quantum) if flow.active else 0.0)
        return self._before + own + max(0.0, others)

    def _ahead(self, ticket: Ticket, flow: Flow, at: float) -> tuple[int, float]:
        if self._look is None or self._look[0] is not ticket or self._look[1] != at:
            self._look = ticket, at, flow.queue.ahead(ticket, at)
        return self._look[2]

    def _end(self, ticket: Ticket, work: float) -> float:
        return start(self._slots, self._busy, work, self._unit) + ticket.last_cost

    def position(self, ticket: Ticket) -> int:
        """Jobs whose next unit goes before a queued job's next one, and 1."""
        flow = ticket.flow
        assert flow is not None
        if ticket.place == "front":
            return len(self._front) - self._front.index(ticket)
        jobs, seconds = self._ahead(ticket, flow, self._now)
        # Of flows with the same tag, none is before another.
        key = self._key(flow, seconds) - SAME
        for other in self._flows:
            if other is not flow and (work := handed(other, key, self._quantum)) > 0:
                jobs += other.queue.started(work)
        return len(self._front) + jobs + 1

    def _key(self, flow: Flow, seconds: float) -> float:
        """By what a unit of a flow is ranked before which the flow is handed `seconds`."""
        begin = flow.start if flow.active else max(self._virtual, flow.start)
        return begin + (seconds + self._quantum) / flow.weight

    @cached_property
    def _handed(self) -> Handed:
        return Handed(self._flows, self._quantum)

    @cached_property
    def _unit(self) -> float:
        """Seconds of a queued unit, on average."""
        units = sum(flow.queue.units for flow in self._flows)
        return sum(flow.queue.seconds for flow in self._flows) / units if units else self._quantum


def handed(flow: Flow, key: float, quantum: float) -> float:
    """Seconds of a flow's work that are handed out before a unit whose key is `key`."""
    begin = flow.start + quantum / flow.weight
    if key < begin:
        return 0.0
    return min(flow.queue.seconds, flow.weight * (key - begin) + flow.queue.seconds / flow.queue.units / 2)


class Handed:
    """The sum of `handed` over many flows, for many keys: built in O(flows · log), asked in O(log)."""

    def __init__(self, flows: Iterable[Flow], quantum: float) -> None:
        turns: list[tuple[float, float, float]] = []
        for flow in flows:
            begin = flow.start + quantum / flow.weight
            jump = min(flow.queue.seconds, flow.queue.seconds / flow.queue.units / 2)
            end = begin + (flow.queue.seconds - jump) / flow.weight
            turns.append((begin, jump - flow.weight * begin, flow.weight))
            turns.append((end, flow.weight * end, -flow.weight))
        turns.sort()
        self._keys = [key for key, _, _ in turns]
        self._levels = [0.0, *accumulate(level for _, level, _ in turns)]
        self._slopes = [0.0, *accumulate(slope for _, _, slope in turns)]

    def __call__(self, key: float) -> float:
        at = bisect_right(self._keys, key)
        return self._levels[at] + self._slopes[at] * key


def start(slots: int, busy: Sequence[float], work: float, unit: float) -> float:
    """Seconds until a unit starts before which `work` seconds go, in units of about `unit` seconds.

    `busy`: seconds that each running unit still takes; slots without one are free.
    """
    free = [*sorted(busy, reverse=True)[:slots], *([0.0] * (slots - len(busy)))]
    heapq.heapify(free)
    units = round(work / unit) if unit > 0 else 0
    if units <= ONE_BY_ONE:
        for _ in range(units):
            heapq.heapreplace(free, free[0] + work / units)
        return free[0]
    # All slots are level after this long; the first comes free somewhat earlier.
    level = (work + sum(free)) / slots
    return max(free[0], level - unit * (slots - 1) / (2 * slots))
