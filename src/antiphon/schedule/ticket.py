"""A ticket: one job in a queue, and which of its units are still to be handed out."""

from __future__ import annotations

import bisect
import math
from array import array
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

from antiphon.domain.job import Priority

if TYPE_CHECKING:
    from antiphon.schedule.flow import Flow


class HandedOut(NamedTuple):
    """A unit that was handed out and has not come back."""

    #: Predicted seconds.
    cost: float
    #: Monotonic seconds at which it was handed out.
    since: float
    #: The flow that was charged for it; None if none was.
    flow: Flow | None


class Ticket:
    """Compact, since 100,000 may wait: equal costs are one number, consecutive units are a first one and a count.

    Costs that differ are kept in single precision; `remaining` is their sum as kept."""

    __slots__ = (
        "_costs", "_count", "_first", "_indices", "_next", "_returned",
        "arrived", "client", "closed", "deadline", "flow", "front", "in_flight", "job", "kept_in", "left", "paused",
        "payload", "priority", "raised", "remaining", "serial", "waiting",
    )  # fmt: skip

    def __init__(
        self,
        job: str,
        client: str,
        priority: Priority = "normal",
        costs: Sequence[float] = (1.0,),
        indices: Sequence[int] | None = None,
        payload: object = None,
        *,
        deadline: float | None = None,
        arrived: float | None = None,
    ) -> None:
        """`costs`: predicted seconds of each unit, in order. `indices`: their numbers if not 0, 1, 2 …

        `deadline` and `arrived` are monotonic seconds; `arrived` is given only for a job that waited before.
        Raises `ValueError` if there are no units, a cost is not a finite number ≥ 0, or the numbers do not ascend."""
        if not costs or not all(math.isfinite(c) and c >= 0 for c in costs):
            raise ValueError(f"job {job}: costs must be finite seconds ≥ 0, at least one")
        self.job = job
        #: Key id or address; client and class name the flow.
        self.client = client
        self.priority = priority
        #: What the dispatcher asks for units (a `dispatch.UnitSource`); queues do not use it.
        self.payload = payload
        #: A job with a deadline is bulk until it must be raised to meet it.
        self.deadline = deadline
        self.raised = False
        #: Somebody waits for it, so it goes before the durable jobs of its flow. Set before it is pushed; the queue's
        #: `set_waiting` changes it later.
        self.waiting = False
        #: Monotonic seconds; set by the first push unless given.
        self.arrived = math.nan if arrived is None else arrived
        #: Breaks ties between jobs that arrived at the same time.
        self.serial = 0
        self._count = len(costs)
        self._costs: float | array[float] = costs[0] if min(costs) == max(costs) else array("f", costs)
        self._first, self._indices = _numbers(job, indices, self._count)
        self._next = 0
        #: Units that came back, as (number, cost), lowest number first: they go before the others.
        self._returned: list[tuple[int, float]] | None = None
        #: Units that are queued, and their predicted seconds.
        self.left = self._count
        self.remaining = float(sum(self._costs) if isinstance(self._costs, array) else self._costs * self._count)
        #: Units that are handed out, by number; None if there are none.
        self.in_flight: dict[int, HandedOut] | None = None
        #: The flow that it counts in; None before it is pushed.
        self.flow: Flow | None = None
        self.paused = False
        #: Above 0 once an operator moved it to the front; the greatest goes first.
        self.front = 0
        #: Removed for good: its job was cancelled or failed.
        self.closed = False
        #: Where the queue keeps it; "": nowhere, since it has nothing to hand out.
        self.kept_in: Literal["", "flow", "front", "paused"] = ""

    def __repr__(self) -> str:
        return f"<Ticket {self.job} of {self.client}, {self.priority}: {self.left} left, {self.remaining:.3g} s>"

    def take(self) -> tuple[int, float]:
        """Hands out the next unit: its number and predicted seconds. `left` must not be 0."""
        if self._returned:
            index, cost = self._returned.pop(0)
            self._returned = self._returned or None
        else:
            index, cost = self._number(self._next), self._cost(self._next)
            self._next += 1
        self.left -= 1
        self.remaining = max(0.0, self.remaining - cost) if self.left else 0.0
        return index, cost

    def put(self, index: int, cost: float) -> bool:
        """Queues a unit, a new one or one that came back, before the others; False if it is queued already."""
        if self._is_queued(index):
            return False
        self._returned = self._returned or []
        bisect.insort(self._returned, (index, cost))
        self.left += 1
        self.remaining += cost
        return True

    def scale(self, factor: float) -> None:
        """Multiplies the predicted seconds of every queued unit."""
        if isinstance(self._costs, array):
            self._costs = array("f", (cost * factor for cost in self._costs))
        else:
            self._costs *= factor
        self._returned = self._returned and [(index, cost * factor) for index, cost in self._returned]
        self.remaining = math.fsum(cost for _, cost in self.pending())

    def pending(self) -> list[tuple[int, float]]:
        """Number and predicted seconds of every queued unit, in the order in which they are handed out."""
        return [*(self._returned or ()), *((self._number(p), self._cost(p)) for p in range(self._next, self._count))]

    @property
    def first_cost(self) -> float:
        """Predicted seconds of the unit that `take` would give. `left` must not be 0."""
        return self._returned[0][1] if self._returned else self._cost(self._next)

    @property
    def last_cost(self) -> float:
        """Predicted seconds of the queued unit that is handed out last. `left` must not be 0."""
        if self._next < self._count:
            return self._cost(self._count - 1)
        assert self._returned
        return self._returned[-1][1]

    def in_flight_seconds(self, now: float, crowd: float = 1.0) -> float:
        """Seconds until the last of its units in flight is done, by prediction; 0 if there is none. `crowd`: how many
        times longer it takes than it costs."""
        ends = (flight.since + flight.cost * crowd - now for flight in (self.in_flight or {}).values())
        return max(0.0, *ends, 0.0)

    def _number(self, position: int) -> int:
        return self._first + position if self._indices is None else self._indices[position]

    def _cost(self, position: int) -> float:
        return self._costs[position] if isinstance(self._costs, array) else self._costs

    def _position(self, index: int) -> int | None:
        if self._indices is None:
            return index - self._first if 0 <= index - self._first < self._count else None
        position = bisect.bisect_left(self._indices, index)
        return position if position < self._count and self._indices[position] == index else None

    def _is_queued(self, index: int) -> bool:
        if any(number == index for number, _ in self._returned or ()):
            return True
        position = self._position(index)
        return position is not None and position >= self._next


def _numbers(job: str, indices: Sequence[int] | None, count: int) -> tuple[int, array[int] | None]:
    """The first number, and all numbers as an array if they are not consecutive."""
    if indices is None:
        return 0, None
    if len(indices) != count or indices[0] < 0 or any(a >= b for a, b in pairwise(indices)):
        raise ValueError(f"job {job}: indices must ascend from 0 or more, one for each of the {count} costs")
    if indices[-1] - indices[0] == count - 1:
        return indices[0], None
    return indices[0], array("I", indices)
