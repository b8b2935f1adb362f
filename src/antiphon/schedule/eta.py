"""ETA: when a job will be done and how many jobs go before it, if nothing else arrives.

The estimate is the fluid limit of the fairness rule (see `fairness`). In the limit of small units every flow is handed
work at its share. So by the time a unit of rank K is handed out, a flow of rank R and weight w was handed w·(K - R)
seconds, or all that it has. The sum over the flows is the work that goes before that unit. Two things that are not
fluid are added: on average a flow was handed half a unit more than its share, and a unit starts when the first slot
comes free, not when all slots are level.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate

from antiphon.schedule import fairness
from antiphon.schedule.flow import Flow
from antiphon.schedule.flow_table import FlowTable
from antiphon.schedule.lanes import Ahead
from antiphon.schedule.ticket import Ticket

#: Units that are laid onto slots one by one; more are treated as a fluid.
ONE_BY_ONE = 16
#: Virtual time by which equal ranks may differ through rounding.
SAME = 1e-9
#: How often an estimate is repeated at most, the part of it after which the flow's order is taken, and the relative
#: change below which it counts as settled.
REPEATS, LATER, SETTLED = 2, 0.65, 0.05


class EtaEstimator:
    """One queue at one moment. Built in O(flows); the sum over all flows is built when it is first needed."""

    def __init__(
        self,
        flows: FlowTable,
        front: Sequence[Ticket],
        slots: int,
        busy: Sequence[float],
        now: float,
        *,
        crowd: float = 1.0,
    ) -> None:
        """`front`: jobs that go before all flows, the next one last. `slots` and `busy`: as for `QueuePolicy.place`.

        `now`: seconds of the queue's clock. `crowd`: how many times longer a running unit takes than it costs."""
        self._flows, self._front = tuple(flows), front
        self._quantum, self._virtual = flows.quantum, flows.time.now
        self._slots, self._busy, self._now, self._crowd = slots, busy, now, crowd
        self._before = sum(ticket.remaining for ticket in front)
        #: The last result of `_ahead`: for which job, at what time.
        self._last: tuple[Ticket, float, Ahead] | None = None

    def eta(self, ticket: Ticket) -> float:
        """Seconds until the last unit of a job is done."""
        flying, flow = ticket.in_flight_seconds(self._now, self._crowd), ticket.flow
        if flow is None or ticket.kept_in == "":
            return flying
        if ticket.kept_in == "front":
            before = self._front[self._front.index(ticket) :]
            return max(flying, self._end(ticket, sum(other.remaining for other in before) - ticket.last_cost))
        seconds = self._end(ticket, self._work(ticket, flow, self._now))
        for _ in range(REPEATS if flow.lanes.changes_order else 0):
            # A job that is ahead now may be overtaken while both wait: ageing favours the older less as time passes.
            repeated = self._end(ticket, self._work(ticket, flow, self._now + LATER * seconds))
            if abs(repeated - seconds) <= SETTLED * seconds:
                break
            seconds = repeated
        return max(flying, seconds)

    def _work(self, ticket: Ticket, flow: Flow, at: float) -> float:
        """Seconds of work before the job's last unit, its flow's jobs ordered as they will be at time `at`."""
        own = self._ahead(ticket, flow, at).last
        rank = self._rank(flow, own)
        others = self._handed(rank) - (handed(flow, rank, self._quantum) if flow.active else 0.0)
        return self._before + own + max(0.0, others)

    def _ahead(self, ticket: Ticket, flow: Flow, at: float) -> Ahead:
        if self._last is None or self._last[0] is not ticket or self._last[1] != at:
            self._last = ticket, at, flow.lanes.ahead(ticket, at)
        return self._last[2]

    def _end(self, ticket: Ticket, work: float) -> float:
        return seconds_until_start(self._slots, self._busy, work, self._unit) + ticket.last_cost

    def position(self, ticket: Ticket) -> int:
        """Place of a job's next unit, counted in jobs: 1 is next, 0 has nothing queued."""
        flow = ticket.flow
        if flow is None or ticket.kept_in == "":
            return 0
        if ticket.kept_in == "front":
            return len(self._front) - self._front.index(ticket)
        jobs, seconds, _ = self._ahead(ticket, flow, self._now)
        # Of flows with the same rank, none is before another.
        rank = self._rank(flow, seconds) - SAME
        for other in self._flows:
            if other is not flow and (work := handed(other, rank, self._quantum)) > 0:
                jobs += other.lanes.started(work)
        return len(self._front) + jobs + 1

    def _rank(self, flow: Flow, seconds: float) -> float:
        """Rank of the flow's unit that comes after `seconds` of its work."""
        tag = flow.start if flow.active else fairness.start(flow.start, self._virtual)
        return fairness.rank(fairness.charge(tag, seconds, flow.weight), flow.weight, self._quantum)

    @cached_property
    def _handed(self) -> HandedSum:
        return HandedSum(self._flows, self._quantum)

    @cached_property
    def _unit(self) -> float:
        """Seconds of a queued unit, on average."""
        units = sum(flow.lanes.units for flow in self._flows)
        return sum(flow.lanes.seconds for flow in self._flows) / units if units else self._quantum


def handed(flow: Flow, rank: float, quantum: float) -> float:
    """Seconds of a flow's work that are handed out before a unit of this rank."""
    own = fairness.rank(flow.start, flow.weight, quantum)
    if rank < own:
        return 0.0
    lanes = flow.lanes
    return min(lanes.seconds, fairness.work(own, rank, flow.weight) + lanes.seconds / lanes.units / 2)


class HandedSum:
    """The sum of `handed` over many flows, for many ranks: built in O(flows · log flows), asked in O(log flows)."""

    def __init__(self, flows: Iterable[Flow], quantum: float) -> None:
        turns: list[tuple[float, float, float]] = []
        for flow in flows:
            begin = fairness.rank(flow.start, flow.weight, quantum)
            seconds = flow.lanes.seconds
            jump = min(seconds, seconds / flow.lanes.units / 2)
            end = fairness.charge(begin, seconds - jump, flow.weight)
            turns.append((begin, jump - flow.weight * begin, flow.weight))
            turns.append((end, flow.weight * end, -flow.weight))
        turns.sort()
        self._ranks = [rank for rank, _, _ in turns]
        self._offsets = [0.0, *accumulate(offset for _, offset, _ in turns)]
        self._slopes = [0.0, *accumulate(slope for _, _, slope in turns)]

    def __call__(self, rank: float) -> float:
        at = bisect_right(self._ranks, rank)
        return self._offsets[at] + self._slopes[at] * rank


def seconds_until_start(slots: int, busy: Sequence[float], work: float, unit: float) -> float:
    """Seconds until a unit starts that comes after `work` seconds of other units, of about `unit` seconds each.

    `busy`: seconds that each running unit still takes; the other slots are free."""
    free = [*sorted(busy, reverse=True)[:slots], *([0.0] * (slots - len(busy)))]
    heapq.heapify(free)
    units = round(work / unit) if unit > 0 else 0
    if units <= ONE_BY_ONE:
        for _ in range(units):
            heapq.heapreplace(free, free[0] + work / units)
        return free[0]
    # All slots are free after this long; the first one somewhat earlier.
    level = (work + sum(free)) / slots
    return max(free[0], level - unit * (slots - 1) / (2 * slots))
