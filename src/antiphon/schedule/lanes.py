"""Lanes: the two lines of a flow. Requests that somebody waits for go before durable jobs of the same client and class.

Inside a lane the order is that of `aging_srpt`. Between the lanes the waiting one goes first, so a short request is
next however much its client has queued and however long that has aged. Durable work ages by what passes it: of every
second that is handed out of the waiting lane, the durable lane is owed `1 / PASSES` seconds. Once that pays for its
next unit, this unit goes first.

The bound: while x seconds are handed out of the durable lane, at most `PASSES · (x + c)` seconds go before them out of
the waiting lane, where c is the largest durable unit; so a durable job ends however many requests its client sends.
And while x seconds are handed out of the waiting lane, at most `x / PASSES + c` go before them out of the durable lane.
The flow is charged for either, so the shares of other flows do not change.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from antiphon.schedule.aging_srpt import AgingSrptQueue
from antiphon.schedule.ticket import Ticket

#: Seconds of waiting requests that may go before a second of durable work.
PASSES: Final = 8.0
#: Units by which a sum of their parts may fall short through rounding.
SAME: Final = 1e-9


class Ahead(NamedTuple):
    """What a flow is handed out before a job, if nothing else arrives."""

    jobs: int
    #: Seconds before its next unit, and before its last one.
    first: float
    last: float


class Lanes:
    """The jobs of one flow whose units can be handed out."""

    __slots__ = ("_ageing", "durable", "owed", "waiting")

    def __init__(self, ageing: float) -> None:
        """`ageing`: as in `AgingSrptQueue`."""
        self._ageing = ageing
        # A flow usually needs one lane, and there may be as many flows as jobs: each is made when it is first needed.
        self.waiting = self.durable = _NOBODY
        #: Predicted seconds that the durable lane is owed.
        self.owed = 0.0

    @property
    def count(self) -> int:
        return self.waiting.count + self.durable.count

    @property
    def units(self) -> int:
        return self.waiting.units + self.durable.units

    @property
    def seconds(self) -> float:
        return self.waiting.seconds + self.durable.seconds

    @property
    def changes_order(self) -> bool:
        """Whether jobs may overtake each other while they age."""
        return len(self.waiting.buckets) > 1 or len(self.durable.buckets) > 1

    def add(self, ticket: Ticket) -> None:
        if ticket.waiting:
            if self.waiting is _NOBODY:
                self.waiting = AgingSrptQueue(self._ageing)
            self.waiting.add(ticket)
        else:
            if self.durable is _NOBODY:
                self.durable = AgingSrptQueue(self._ageing)
            self.durable.add(ticket)

    def remove(self, ticket: Ticket) -> None:
        (self.waiting if ticket.waiting else self.durable).remove(ticket)

    def head(self, now: float) -> Ticket:
        """The job that goes next; there must be one."""
        if not self.waiting.count:
            return self.durable.head(now)
        # Nearly always nothing is owed, and then the durable lane need not be looked at.
        if self.owed and self.durable.count:
            first = self.durable.head(now)
            if self.owed >= first.first_cost * (1 - SAME):
                return first
        return self.waiting.head(now)

    def take(self, ticket: Ticket) -> tuple[int, float]:
        """Hands out the next unit of a job that is in: its number and predicted seconds."""
        if ticket.waiting:
            index, cost = self.waiting.take(ticket)
            # Only what is queued is passed.
            self.owed = self.owed + cost / PASSES if self.durable.count else 0.0
        else:
            index, cost = self.durable.take(ticket)
            self.owed = max(0.0, self.owed - cost)
        return index, cost

    def ahead(self, ticket: Ticket, now: float) -> Ahead:
        """What goes before a job, which need not be in, if nothing else arrives."""
        lane, other = (self.waiting, self.durable) if ticket.waiting else (self.durable, self.waiting)
        jobs, first = lane.ahead(ticket, now)
        last = first + ticket.remaining - ticket.last_cost
        if not other.count:
            return Ahead(jobs, first, last)
        if ticket.waiting:
            passed = [self._durable_before(first), self._durable_before(last)]
        else:
            passed = [self._waiting_before(first + ticket.first_cost), self._waiting_before(last + ticket.last_cost)]
        return Ahead(jobs + other.started(passed[0]), first + passed[0], last + passed[1])

    def started(self, seconds: float) -> int:
        """About how many jobs are started before `seconds` of work are handed out; ageing is left out."""
        waiting = min(self.waiting.seconds, max(seconds - self.durable.seconds, seconds * PASSES / (PASSES + 1)))
        return self.waiting.started(waiting) + self.durable.started(seconds - waiting)

    def _durable_before(self, seconds: float) -> float:
        """Seconds of durable work that are handed out before the next unit after `seconds` of the waiting lane."""
        unit = self.durable.seconds / self.durable.units
        paid = self.owed + seconds / PASSES
        return min(self.durable.seconds, unit * math.floor(paid / unit + SAME)) if unit > 0 else 0.0

    def _waiting_before(self, seconds: float) -> float:
        """Seconds of the waiting lane that go before the unit with which the durable lane comes to `seconds`."""
        return min(self.waiting.seconds, max(0.0, PASSES * (seconds - self.owed)))


#: A lane that nobody has been in; it stays empty.
_NOBODY: Final = AgingSrptQueue(1.0)
