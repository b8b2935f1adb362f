"""A second queue policy: first come, first served. It shows that `QueuePolicy` asks for no more than a dispatcher needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from antiphon.domain.job import PRIORITIES, Priority
from antiphon.schedule.queue_policy import Bid, FlowName
from antiphon.schedule.ticket import Ticket


class FifoPolicy:
    """All units of a job before the next job's; no shares, so nothing is charged. O(n) throughout."""

    def __init__(self) -> None:
        self._tickets: list[Ticket] = []
        self._paused: set[Ticket | str | None] = set()
        self._moves = 0
        self.together = 1

    def __len__(self) -> int:
        return len(self._queued())

    def push(self, ticket: Ticket, now: float) -> None:
        if ticket.serial:
            raise ValueError(f"job {ticket.job} was queued before")
        self._tickets.append(ticket)
        self._moves = max(self._moves, ticket.front)
        if ticket.paused:
            self._paused.add(ticket)
        ticket.serial = len(self._tickets)

    def pop(self, now: float, *, waiting: bool = False) -> tuple[Ticket, int, float] | None:
        ready = self._ready(waiting)
        return (ready[0], *ready[0].take()) if ready else None

    def head(self, now: float, *, waiting: bool = False) -> Bid | None:
        ready = self._ready(waiting)
        return Bid((ready[0].client, ready[0].priority), 1.0, ready[0].front > 0) if ready else None

    def charge(self, name: FlowName, seconds: float) -> None:
        pass

    def settle(self, ticket: Ticket, index: int, predicted: float, actual: float) -> None:
        pass

    def put_back(self, ticket: Ticket, index: int, cost: float, now: float) -> bool:
        return not ticket.closed and ticket.put(index, cost)

    def remove(self, ticket: Ticket) -> None:
        ticket.closed = True

    def reprice(self, ticket: Ticket, factor: float) -> None:
        if not (math.isfinite(factor) and factor > 0):
            raise ValueError(f"a factor must be finite and above 0, not {factor}")
        ticket.scale(factor)

    def change_class(self, ticket: Ticket, priority: Priority) -> None:
        ticket.priority = priority

    def set_waiting(self, ticket: Ticket, waiting: bool) -> None:
        ticket.waiting = waiting

    def move_to_front(self, ticket: Ticket) -> None:
        self._moves += 1
        ticket.front = self._moves

    def pause(self, what: Ticket | str | None = None) -> None:
        self._paused.add(what)

    def resume(self, what: Ticket | str | None = None) -> None:
        self._paused.discard(what)

    @property
    def weight(self) -> float:
        return float(bool(self._ready()))

    def backlog_seconds(self) -> float:
        return math.fsum(ticket.remaining for ticket in self._queued())

    def backlog_by_class(self) -> Mapping[Priority, float]:
        queued = self._queued()
        return {p: math.fsum(ticket.remaining for ticket in queued if ticket.priority == p) for p in PRIORITIES}

    def place(self, ticket: Ticket, slots: int, now: float, busy: Sequence[float] = ()) -> tuple[int, float]:
        queued = self._queued()
        return queued.index(ticket) + 1 if ticket in queued else 0, self.etas((ticket,), slots, now, busy)[0]

    def etas(self, tickets: Iterable[Ticket], slots: int, now: float, busy: Sequence[float] = ()) -> list[float]:
        queued, after, seconds = self._queued(), dict[Ticket, float](), math.fsum(busy)
        for ticket in queued:
            seconds += ticket.remaining
            after[ticket] = math.inf if self._is_paused(ticket) else seconds / slots
        return [after.get(ticket, max(busy, default=0.0)) for ticket in tickets]

    def _queued(self) -> list[Ticket]:
        queued = (ticket for ticket in self._tickets if ticket.left and not ticket.closed)
        return sorted(queued, key=lambda ticket: (-ticket.front, ticket.serial))

    def _ready(self, waiting: bool = False) -> list[Ticket]:
        ready = [ticket for ticket in self._queued() if not self._is_paused(ticket)]
        return [ticket for ticket in ready if ticket.waiting or ticket.front] if waiting else ready

    def _is_paused(self, ticket: Ticket) -> bool:
        return not self._paused.isdisjoint((None, ticket, ticket.client))
