"""The fair queue of one pool of slots: which unit goes next, when a job will be done, and who is before it.

Between flows: start-time fair queueing in predicted seconds (`flow.py`, `flow_table.py`). Inside a flow: least
remaining work first, with ageing (`aging_srpt.py`). Pure: the clock is passed in, seconds of any clock that only grows.

Fairness: take two flows that both have work queued throughout some time. What each is handed out in it, divided by
its weight, differs by no more than `2 · c · (1/w + 1/w')`, c being the largest unit's seconds, and between flows of
one class by half of that, the bound of start-time fair queueing. Every pop moves virtual time on, so a flow is passed
by a bounded number of units, whoever comes.
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
from antiphon.schedule.ticket import HandedOut, Ticket

__all__ = ["WEIGHTS", "FairQueue", "Ticket"]

WEIGHTS: Mapping[str, float] = {"vip": 4.0, "normal": 1.0, "bulk": 0.25}


class FairQueue:
    """Tickets in, units out. Every change costs O(log n), whatever the number of jobs and flows."""

    def __init__(self, ageing: float = 30.0, weights: Mapping[str, float] | None = None) -> None:
        """`ageing`: seconds after which waiting weighs as much as being short. `weights`: share by class."""
        self._flows = FlowTable(ageing, weights or WEIGHTS)
        self._deadlines = Deadlines()
        #: Jobs that an operator moved to the front, the next one last.
        self._front: list[Ticket] = []
        self._paused = False
        self._jobs = 0
        self._seconds = 0.0
        #: Units in flight: a guess at the number of slots, since none is free while something is queued.
        self._flying = 0
        self._serial = 0

    # Hand out

    def push(self, ticket: Ticket, now: float) -> None:
        """Queues a job. Raises `ValueError` for a ticket that was pushed before."""
        if ticket.flow is not None:
            raise ValueError(f"job {ticket.job} was queued before")
        self._serial += 1
        ticket.serial = self._serial
        if math.isnan(ticket.arrived):
            ticket.arrived = now
        if not self._flows.quantum:
            self._flows.follow(ticket.remaining / ticket.left)
        self._insert(ticket)

    def pop(self, now: float) -> tuple[Ticket, int, float] | None:
        """The next unit: its job, number and predicted seconds. None if nothing may go.

        The ticket stays queued with what is left of it. Each unit handed out ends in one `settle` or
        `put_back`.
        """
        ticket, flow = self._first(now)
        if flow is None:
            return None
        if ticket is not None:
            return self._pop_front(ticket, now)
        ticket = flow.queue.head(now)
        index, cost = flow.queue.take(ticket)
        self._count(flow, -(not ticket.left), -cost)
        if not ticket.left:
            self._gone(ticket)
        flow.running += 1
        self._fly(ticket, index, HandedOut(cost, now, flow))
        self._flows.follow(cost)
        self._flows.charge(flow, cost)
        return ticket, index, cost

    def head(self, now: float) -> tuple[Flow, bool] | None:
        """The flow whose unit `pop` would hand out, and whether it goes before all because an operator moved it."""
        ticket, flow = self._first(now)
        return None if flow is None else (flow, ticket is not None)

    def charge(self, name: tuple[str, Priority], seconds: float) -> None:
        """A client's work of one class had so much elsewhere on the same device; it counts if it is known here."""
        self._flows.charge_known(name, seconds)

    def settle(self, ticket: Ticket, index: int, predicted: float, actual: float) -> None:
        """A unit is done, or will never be: its flow pays for `actual` seconds in place of the `predicted`."""
        self._land(ticket, index, actual - predicted)

    def put_back(self, ticket: Ticket, index: int, cost: float, now: float) -> bool:
        """Queues a unit whose worker died: it goes first within its job, and its flow pays for one try only.

        Also for a unit that was done before and is needed once more. False if the job was removed
        meanwhile, or the unit is queued already.
        """
        self._land(ticket, index, -cost)
        if ticket.closed or ticket.flow is None:
            return False
        with self._changing(ticket):
            return ticket.put(index, cost)

    def drop_unit(self, ticket: Ticket, index: int) -> bool:
        """Takes a unit out that nobody needs any more (its result was found); False if it is not queued."""
        with self._changing(ticket):
            return ticket.drop(index) is not None

    # Change

    def remove(self, ticket: Ticket) -> None:
        """Takes a job out for good. Its units in flight are settled as ever. Twice is once."""
        with self._changing(ticket):
            ticket.closed = True

    def reprice(self, ticket: Ticket, factor: float) -> None:
        """Multiplies the predicted seconds of a job's queued units: the cost model has learned better."""
        if not (math.isfinite(factor) and factor > 0):
            raise ValueError(f"a factor must be finite and above 0, not {factor}")
        with self._changing(ticket):
            ticket.scale(factor)

    def change_class(self, ticket: Ticket, priority: Priority) -> None:
        """Puts a job into another class; from then on the class counts, not the deadline."""
        with self._changing(ticket):
            ticket.priority, ticket.deadline, ticket.raised = priority, None, False

    def move_to_front(self, ticket: Ticket) -> None:
        """Puts a job before everybody else, also before those moved earlier. Nobody pays for its units."""
        self._serial += 1
        with self._changing(ticket):
            ticket.front = self._serial

    def pause(self, what: Ticket | str | None = None) -> None:
        """Hands nothing out of a job, of a client (by name), or of anything (None). Units in flight go on."""
        self._hold(what, True)

    def resume(self, what: Ticket | str | None = None) -> None:
        """Ends what `pause` of the same job, client or everything began."""
        self._hold(what, False)

    # Look

    def __len__(self) -> int:
        """Jobs with something to hand out, paused or not."""
        return self._jobs

    @property
    def weight(self) -> float:
        """Sum of the weights of the flows that share it."""
        return self._flows.time.weight

    def queued_jobs(self, client: str | None = None) -> int:
        return self._jobs if client is None else sum(flow.jobs for flow in self._flows.of(client))

    def backlog_seconds(self, client: str | None = None, priority: Priority | None = None) -> float:
        """Predicted seconds queued, paused or not: of all, of a client, or of one of a client's flows."""
        if client is None:
            return self._seconds
        return sum(flow.seconds for flow in self._flows.of(client) if priority in (None, flow.priority))

    def backlog_by_class(self) -> Mapping[Priority, float]:
        """Predicted seconds queued, paused or not. Looks at every flow."""
        return self._flows.seconds()

    def position(self, ticket: Ticket, now: float) -> int:
        """Place in line of the job's next unit, counted in jobs: 1 is next, 0 has nothing queued.

        A paused job is told the place that it would have.
        """
        if ticket.place == "":
            return 0
        return self._estimator(now, slots=1, busy=()).position(ticket)

    def eta(self, ticket: Ticket, slots: int, now: float, busy: Sequence[float] = ()) -> float:
        """Seconds until the job's last unit is done if nothing else arrives; infinite while it is paused.

        `slots`: units that run at a time. `busy`: predicted seconds that each running unit still takes.
        """
        return self.etas((ticket,), slots, now, busy)[0]

    def place(self, ticket: Ticket, slots: int, now: float, busy: Sequence[float] = ()) -> tuple[int, float]:
        """`position` and `eta` at once: what both look at is looked at once."""
        estimator = self._estimator(now, slots, busy)
        position = 0 if ticket.place == "" else estimator.position(ticket)
        return position, math.inf if self._is_held(ticket) else estimator.eta(ticket)

    def etas(self, tickets: Iterable[Ticket], slots: int, now: float, busy: Sequence[float] = ()) -> list[float]:
        """`eta` of many jobs: what concerns all flows is computed once."""
        estimator = self._estimator(now, slots, busy)
        return [math.inf if self._is_held(ticket) else estimator.eta(ticket) for ticket in tickets]

    def _estimator(self, now: float, slots: int, busy: Sequence[float]) -> EtaEstimator:
        return EtaEstimator(self._flows, self._front, slots, busy, now)

    def _is_held(self, ticket: Ticket) -> bool:
        """Has something queued that a pause keeps from going."""
        flow = ticket.flow
        return ticket.place != "" and flow is not None and (self._paused or ticket.paused or flow.paused)

    # Where tickets are kept

    def _flow(self, ticket: Ticket) -> Flow:
        """The flow a ticket belongs in; a new one if its client has none of that class."""
        priority = ticket.priority
        if ticket.deadline is not None:
            priority = "vip" if ticket.raised else "bulk"
        return self._flows.flow(ticket.client, priority)

    @contextmanager
    def _changing(self, ticket: Ticket) -> Iterator[None]:
        """Takes a ticket from its place while it is changed, and puts it where it belongs then."""
        flow = ticket.flow
        self._extract(ticket)
        yield
        if flow is None:
            return
        if ticket.left and not ticket.closed:
            self._insert(ticket)
        # Only now: a flow that is busy all the while must not lose what it is behind the others.
        self._flows.refresh(flow)
        self._flows.forget(flow)

    def _insert(self, ticket: Ticket) -> None:
        """Puts a ticket where it belongs and counts it."""
        flow = ticket.flow = self._flow(ticket)
        self._count(flow, 1, ticket.remaining)
        if ticket.paused:
            ticket.place = "held"
        elif ticket.front:
            ticket.place = "front"
            insort(self._front, ticket, key=lambda other: other.front)
        else:
            ticket.place = "line"
            flow.queue.add(ticket)
            self._flows.refresh(flow)
        if ticket.deadline is not None and not ticket.raised:
            self._deadlines.watch(ticket, self._flows.crowd, self._flying + 1)

    def _extract(self, ticket: Ticket) -> None:
        """Takes a ticket from its place, if it has one."""
        flow = ticket.flow
        if flow is None or ticket.place == "":
            return
        self._count(flow, -1, -ticket.remaining)
        if ticket.place == "front":
            self._front.remove(ticket)
        elif ticket.place == "line":
            flow.queue.remove(ticket)
        self._gone(ticket)

    def _gone(self, ticket: Ticket) -> None:
        ticket.place = ""
        if ticket.deadline is not None:
            self._deadlines.forget(ticket)

    def _hold(self, what: Ticket | str | None, paused: bool) -> None:
        if what is None:
            self._paused = paused
        elif isinstance(what, Ticket):
            with self._changing(what):
                what.paused = paused
        else:
            self._flows.pause(what, paused)

    def _raise_due(self, now: float) -> None:
        for ticket in self._deadlines.due(now, self._flows.crowd, self._flying + 1):
            with self._changing(ticket):
                ticket.raised = True

    def _first(self, now: float) -> tuple[Ticket | None, Flow | None]:
        """What goes next: a job that was moved to the front, or a flow."""
        if self._paused:
            return None, None
        if len(self._deadlines):
            self._raise_due(now)
        for ticket in reversed(self._front):
            if not self._is_held(ticket):
                return ticket, ticket.flow
        return None, self._flows.next()

    # What is owed

    def _pop_front(self, ticket: Ticket, now: float) -> tuple[Ticket, int, float]:
        assert ticket.flow is not None
        index, cost = ticket.take()
        self._count(ticket.flow, -(not ticket.left), -cost)
        if not ticket.left:
            self._front.remove(ticket)
            self._gone(ticket)
        self._fly(ticket, index, HandedOut(cost, now, None))
        return ticket, index, cost

    def _fly(self, ticket: Ticket, index: int, flight: HandedOut) -> None:
        ticket.in_flight = ticket.in_flight or {}
        ticket.in_flight[index] = flight
        self._flying += 1

    def _land(self, ticket: Ticket, index: int, correction: float) -> None:
        """A unit in flight is so no more; its flow's charge is corrected by so many seconds."""
        flight = ticket.in_flight.pop(index, None) if ticket.in_flight else None
        if flight is None:
            return
        ticket.in_flight = ticket.in_flight or None
        self._flying -= 1
        if flight.flow is not None:
            flight.flow.running -= 1
            self._flows.charge(flight.flow, correction)

    def _count(self, flow: Flow, jobs: int, seconds: float) -> None:
        flow.count(jobs, seconds)
        self._jobs += jobs
        # Sums of an empty queue are exactly 0, so that rounding never adds up.
        self._seconds = max(0.0, self._seconds + seconds) if self._jobs else 0.0
