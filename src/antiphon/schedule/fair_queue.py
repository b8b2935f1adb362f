"""The fair queue of one model: which unit runs next, when a job will be done, and how many jobs go before it.

Between flows: start-time fair queueing in predicted seconds (`fairness`, `flow_table`). Inside a flow:
requests that somebody waits for before durable jobs (`lanes`), in either lane least remaining work first, with ageing
(`aging_srpt`). Pure: the clock is passed in, as seconds of any clock that only grows.

The bound: take two flows that both have work queued throughout some time. What each is handed out in that time,
divided by its weight, differs by at most `2 · c · (1/w + 1/w')`, where c is the seconds of the largest unit; between
flows of one class by half of that, which is the bound of start-time fair queueing. Every pop moves virtual time on, so
only a bounded number of units of others can pass a flow, however many clients arrive.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from antiphon.domain.job import Priority
from antiphon.schedule.deadline import Deadlines
from antiphon.schedule.eta import EtaEstimator
from antiphon.schedule.flow import Flow
from antiphon.schedule.flow_table import FlowTable
from antiphon.schedule.queue_policy import Bid, FlowName
from antiphon.schedule.ticket import HandedOut, Ticket

WEIGHTS: Mapping[str, float] = {"vip": 4.0, "normal": 1.0, "bulk": 0.25}


class FairQueue:
    """A `QueuePolicy` by weighted fair shares. A change costs O(log n) in the number n of jobs and flows."""

    def __init__(self, ageing: float = 30.0, weights: Mapping[str, float] | None = None) -> None:
        """`ageing`: seconds of waiting that count as much as being four times shorter. `weights`: by class."""
        self._flows = FlowTable(ageing, weights or WEIGHTS)
        self._deadlines = Deadlines()
        #: Jobs that an operator moved to the front, the next one last.
        self._front: list[Ticket] = []
        self._paused = False
        self._jobs, self._seconds = 0, 0.0
        #: Units in flight. While something is queued no slot is free, so this estimates the number of slots.
        self._in_flight = 0
        self.together = 1
        self._serial = 0

    # Hand out

    def push(self, ticket: Ticket, now: float) -> None:
        if ticket.flow is not None:
            raise ValueError(f"job {ticket.job} was queued before")
        # A job that was in front of the queue of a previous process has its rank from there.
        self._serial = max(self._serial, ticket.front) + 1
        ticket.serial = self._serial
        if math.isnan(ticket.arrived):
            ticket.arrived = now
        if not self._flows.quantum:
            self._flows.follow(ticket.remaining / ticket.left)
        self._insert(ticket)

    def pop(self, now: float, *, waiting: bool = False) -> tuple[Ticket, int, float] | None:
        ticket, flow = self._first(now, waiting)
        if flow is None:
            return None
        if ticket is not None:
            return self._pop_front(ticket, now)
        ticket = (flow.lanes.waiting if waiting else flow.lanes).head(now)
        index, cost = flow.lanes.take(ticket)
        self._count(flow, -(not ticket.left), -cost)
        if not ticket.left:
            self._taken_out(ticket)
        flow.running += 1
        self._launch(ticket, index, HandedOut(cost, now, flow))
        self._flows.follow(cost)
        self._flows.charge(flow, cost)
        return ticket, index, cost

    def head(self, now: float, *, waiting: bool = False) -> Bid | None:
        ticket, flow = self._first(now, waiting)
        return None if flow is None else Bid((flow.client, flow.priority), flow.weight, urgent=ticket is not None)

    def charge(self, name: FlowName, seconds: float) -> None:
        # A flow that has no work here starts at the present time anyway when it comes.
        self._flows.charge_known(name, seconds)

    def settle(self, ticket: Ticket, index: int, predicted: float, actual: float) -> None:
        self._land(ticket, index, actual - predicted)

    def put_back(self, ticket: Ticket, index: int, cost: float, now: float) -> bool:
        # The flow pays for one attempt only.
        self._land(ticket, index, -cost)
        if ticket.closed or ticket.flow is None:
            return False
        with self._changing(ticket):
            return ticket.put(index, cost)

    # Change

    def remove(self, ticket: Ticket) -> None:
        with self._changing(ticket):
            ticket.closed = True

    def reprice(self, ticket: Ticket, factor: float) -> None:
        if not (math.isfinite(factor) and factor > 0):
            raise ValueError(f"a factor must be finite and above 0, not {factor}")
        with self._changing(ticket):
            ticket.scale(factor)

    def change_class(self, ticket: Ticket, priority: Priority) -> None:
        with self._changing(ticket):
            ticket.priority, ticket.deadline, ticket.raised = priority, None, False

    def set_waiting(self, ticket: Ticket, waiting: bool) -> None:
        with self._changing(ticket):
            ticket.waiting = waiting

    def move_to_front(self, ticket: Ticket) -> None:
        self._serial += 1
        with self._changing(ticket):
            ticket.front = self._serial

    def pause(self, what: Ticket | str | None = None) -> None:
        self._set_paused(what, True)

    def resume(self, what: Ticket | str | None = None) -> None:
        self._set_paused(what, False)

    # Look

    def __len__(self) -> int:
        return self._jobs

    @property
    def weight(self) -> float:
        return self._flows.time.weight

    def queued_jobs(self, client: str | None = None) -> int:
        """Jobs with something to hand out, paused or not: of all clients, or of one."""
        return self._jobs if client is None else sum(flow.jobs for flow in self._flows.of(client))

    def backlog_seconds(self, client: str | None = None, priority: Priority | None = None) -> float:
        """Predicted seconds queued, paused or not: of all clients, of one client, or of one of a client's flows."""
        if client is None:
            return self._seconds
        return sum(flow.seconds for flow in self._flows.of(client) if priority in (None, flow.priority))

    def backlog_by_class(self) -> Mapping[Priority, float]:
        return self._flows.seconds()  # O(flows)

    def position(self, ticket: Ticket, now: float) -> int:
        """Place of the job's next unit, as if it were not paused: 1 is next, 0 has nothing queued."""
        return self._estimator(now, slots=1, busy=()).position(ticket)

    def eta(self, ticket: Ticket, slots: int, now: float, busy: Sequence[float] = ()) -> float:
        """`etas` of one job."""
        return self.etas((ticket,), slots, now, busy)[0]

    def place(self, ticket: Ticket, slots: int, now: float, busy: Sequence[float] = ()) -> tuple[int, float]:
        estimator = self._estimator(now, slots, busy)
        return estimator.position(ticket), math.inf if self._is_paused(ticket) else estimator.eta(ticket)

    def etas(self, tickets: Iterable[Ticket], slots: int, now: float, busy: Sequence[float] = ()) -> list[float]:
        estimator = self._estimator(now, slots, busy)
        return [math.inf if self._is_paused(ticket) else estimator.eta(ticket) for ticket in tickets]

    def _estimator(self, now: float, slots: int, busy: Sequence[float]) -> EtaEstimator:
        return EtaEstimator(self._flows, self._front, slots, busy, now, crowd=max(1.0, self._in_flight / slots))

    def _is_paused(self, ticket: Ticket) -> bool:
        """Whether a pause keeps its queued units from being handed out."""
        flow = ticket.flow
        return ticket.kept_in != "" and flow is not None and (self._paused or ticket.paused or flow.paused)

    # Where tickets are kept

    def _flow(self, ticket: Ticket) -> Flow:
        """The flow that a ticket belongs in; a new one if its client has none of that class."""
        priority = ticket.priority
        if ticket.deadline is not None:
            priority = "vip" if ticket.raised else "bulk"
        return self._flows.flow(ticket.client, priority)

    @contextmanager
    def _changing(self, ticket: Ticket) -> Iterator[None]:
        """Takes a ticket out while it is changed, and puts it back where it then belongs."""
        flow = ticket.flow
        self._extract(ticket)
        yield
        if flow is None:
            return
        if ticket.left and not ticket.closed:
            self._insert(ticket)
        # Not before: a flow that has work all the time must not join again, which would move its tag to the present.
        self._flows.refresh(flow)
        self._flows.forget(flow)

    def _insert(self, ticket: Ticket) -> None:
        """Puts a ticket where it belongs, and counts it."""
        flow = ticket.flow = self._flow(ticket)
        self._count(flow, 1, ticket.remaining)
        if ticket.paused:
            ticket.kept_in = "paused"
        elif ticket.front:
            ticket.kept_in = "front"
            insort(self._front, ticket, key=lambda other: other.front)
        else:
            ticket.kept_in = "flow"
            flow.lanes.add(ticket)
            self._flows.refresh(flow)
        if ticket.deadline is not None and not ticket.raised:
            self._deadlines.watch(ticket, self._flows.crowd, self._parallel)

    def _extract(self, ticket: Ticket) -> None:
        """Takes a ticket out of where it is kept, if it is kept anywhere."""
        flow = ticket.flow
        if flow is None or ticket.kept_in == "":
            return
        self._count(flow, -1, -ticket.remaining)
        if ticket.kept_in == "front":
            self._front.remove(ticket)
        elif ticket.kept_in == "flow":
            flow.lanes.remove(ticket)
        self._taken_out(ticket)

    def _taken_out(self, ticket: Ticket) -> None:
        ticket.kept_in = ""
        if ticket.deadline is not None:
            self._deadlines.forget(ticket)

    def _set_paused(self, what: Ticket | str | None, paused: bool) -> None:
        if what is None:
            self._paused = paused
        elif isinstance(what, Ticket):
            with self._changing(what):
                what.paused = paused
        else:
            self._flows.pause(what, paused)

    def _raise_due(self, now: float) -> None:
        for ticket in self._deadlines.due(now, self._flows.crowd, self._parallel):
            with self._changing(ticket):
                ticket.raised = True

    def _first(self, now: float, waiting: bool) -> tuple[Ticket | None, Flow | None]:
        """What goes next: a job that was moved to the front, with its flow, or else a flow."""
        if self._paused:
            return None, None
        if len(self._deadlines):
            self._raise_due(now)
        for ticket in reversed(self._front):
            if not self._is_paused(ticket):
                return ticket, ticket.flow
        return None, self._flows.next(waiting)

    # Units in flight

    @property
    def _parallel(self) -> int:
        """Seconds of queued work that are worked off in a second, about."""
        return self._in_flight // self.together + 1

    def _pop_front(self, ticket: Ticket, now: float) -> tuple[Ticket, int, float]:
        assert ticket.flow is not None
        index, cost = ticket.take()
        self._count(ticket.flow, -(not ticket.left), -cost)
        if not ticket.left:
            self._front.remove(ticket)
            self._taken_out(ticket)
        self._launch(ticket, index, HandedOut(cost, now, None))
        return ticket, index, cost

    def _launch(self, ticket: Ticket, index: int, handed_out: HandedOut) -> None:
        ticket.in_flight = ticket.in_flight or {}
        ticket.in_flight[index] = handed_out
        self._in_flight += 1

    def _land(self, ticket: Ticket, index: int, correction: float) -> None:
        """A unit is no longer in flight; its flow's charge is corrected by so many seconds."""
        handed_out = ticket.in_flight.pop(index, None) if ticket.in_flight else None
        if handed_out is None:
            return
        ticket.in_flight = ticket.in_flight or None
        self._in_flight -= 1
        if handed_out.flow is not None:
            handed_out.flow.running -= 1
            self._flows.charge(handed_out.flow, correction)

    def _count(self, flow: Flow, jobs: int, seconds: float) -> None:
        flow.count(jobs, seconds)
        self._jobs += jobs
        # Sums of an empty queue are exactly 0, so that rounding never adds up.
        self._seconds = max(0.0, self._seconds + seconds) if self._jobs else 0.0
