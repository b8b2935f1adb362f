"""Deadlines: finds the jobs that would come too late if they stayed bulk, in O(log n)."""

from __future__ import annotations

from antiphon.schedule.indexed_heap import IndexedHeap
from antiphon.schedule.ticket import Ticket


class Deadlines:
    """Watched jobs by the latest moment at which they can still be left at bulk's share.

    That moment depends on how crowded the queue is, so it is only a first guess when a job is put in. A job
    that comes up is looked at again. The guesses of all jobs are made anew when the queue has become twice
    as crowded; a job that is raised then has the whole ratio of the weights (16 as they come) in hand, so a
    factor of two does no harm.
    """

    def __init__(self) -> None:
        self._heap: IndexedHeap[Ticket] = IndexedHeap()
        self._crowd = 1.0

    def __len__(self) -> int:
        return len(self._heap)

    def watch(self, ticket: Ticket, crowd: float, slots: int) -> None:
        self._heap.set(ticket, latest_start(ticket, max(crowd, self._crowd), slots))

    def forget(self, ticket: Ticket) -> None:
        self._heap.discard(ticket)
        if not self._heap:
            self._crowd = 1.0

    def due(self, now: float, crowd: float, slots: int) -> list[Ticket]:
        """Takes out the jobs whose slack has run out.

        `crowd`: seconds in which a bulk flow is handed one second of work on one slot.
        """
        if crowd > 2 * self._crowd and self._heap:
            self._crowd = crowd
            for ticket in tuple(self._heap):
                self._heap.set(ticket, latest_start(ticket, crowd, slots))
        found = []
        while (first := self._heap.first()) is not None and first[0] <= now:
            ticket = first[1]
            moment = latest_start(ticket, crowd, slots)
            if moment <= now:
                self.forget(ticket)
                found.append(ticket)
            else:
                self._heap.set(ticket, moment)
        return found


def latest_start(ticket: Ticket, crowd: float, slots: int) -> float:
    """Monotonic seconds at which a job must be raised: time at its fair share, and a unit's wait for a slot.

    It must have a deadline and something queued.
    """
    assert ticket.deadline is not None
    seconds = max(ticket.remaining * crowd / slots, ticket.remaining / min(slots, ticket.left))
    return ticket.deadline - seconds - ticket.remaining / ticket.left
