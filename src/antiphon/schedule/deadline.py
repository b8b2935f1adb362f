"""Deadlines: finds the jobs that would be late if they stayed in the class bulk, in O(log n)."""

from __future__ import annotations

from antiphon.schedule.indexed_heap import IndexedHeap
from antiphon.schedule.ticket import Ticket


class Deadlines:
    """Jobs by the latest time until which bulk's share is enough for them.

    That time depends on how crowded the queue is, so it is a first guess when a job is put in, and is computed again
    when the job comes up. The guesses of all jobs are renewed when the queue has become twice as crowded. A raised job
    gains the whole ratio of the weights (16 by default), so being late by a factor of two does no harm."""

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
        """Takes out the jobs that have no slack left. `crowd`: as `FlowTable.crowd`."""
        if crowd > 2 * self._crowd and self._heap:
            self._crowd = crowd
            for ticket in tuple(self._heap):
                self._heap.set(ticket, latest_start(ticket, crowd, slots))
        found = []
        while (first := self._heap.first()) is not None and first[0] <= now:
            _, ticket = first
            if (moment := latest_start(ticket, crowd, slots)) <= now:
                self.forget(ticket)
                found.append(ticket)
            else:
                self._heap.set(ticket, moment)
        return found


def latest_start(ticket: Ticket, crowd: float, slots: int) -> float:
    """Seconds (of the deadline's clock) at which a job with a deadline and queued work must be raised to meet it.

    Before the deadline it needs the time that its work takes at bulk's share, and one unit's wait for a slot."""
    assert ticket.deadline is not None
    seconds = max(ticket.remaining * crowd / slots, ticket.remaining / min(slots, ticket.left))
    return ticket.deadline - seconds - ticket.remaining / ticket.left
