"""A device that several models share: how many of their units run at a time, and which model's turn it is.

Each model has a queue of its own, which is fair between its flows. Between the models that share a device the turn
goes to the one whose next unit belongs to the flow that had least of the device, in seconds by weight, over all of its
models: start-time fair queueing once more (see `flow.py`), with the heads of the queues in place of the flows. And
what a flow had of one model, the same client and class pays for in the queues of the others, too. So a client who
floods two models gets no more than one who asks one of them, or a third, for a sentence.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from antiphon.domain.job import Priority

#: A client's work of one class.
FlowName = tuple[str, Priority]

#: A unit that took so many times its predicted seconds, and these seconds more, holds up the other models no longer.
OVERDUE, PATIENCE = 4.0, 10.0
#: Seconds between looks for overdue units while another model waits.
LOOK = 1.0
#: Flows after which those that the time has caught up with are let go.
MANY = 1024


@dataclass(frozen=True, slots=True)
class Bid:
    """Whose unit a model would run next."""

    flow: FlowName
    weight: float
    #: Moved to the front by an operator: it goes before all models.
    urgent: bool = False


class Member(Protocol):
    """A model's dispatcher, as the device sees it."""

    @property
    def slots(self) -> int:
        """Units that its workers could run at a time."""
        ...

    @property
    def weight(self) -> float:
        """Sum of the weights of the flows that want it."""
        ...

    def busy_since(self) -> list[tuple[float, float]]:
        """For each unit with a worker: since when, and its predicted seconds."""
        ...

    def bid(self) -> Bid | None:
        """None if it has nothing to run, or no free worker."""
        ...

    def drain_seconds(self) -> float:
        """Seconds that all of its work takes, if it is alone."""
        ...

    def charge(self, flow: FlowName, seconds: float) -> None:
        """The flow had so much of another model; seconds below 0 take back what was charged too much."""
        ...

    def start(self) -> float | None:
        """Starts the unit of its bid; its predicted seconds, None if it cannot after all."""
        ...


@dataclass(slots=True, eq=False)
class Device:
    clock: Callable[[], float] = time.monotonic
    #: Calls a function after some seconds; the event loop's, unless told otherwise.
    later: Callable[[float, Callable[[], None]], object] | None = None
    members: list[Member] = field(default_factory=list)
    #: Virtual time at which a flow's next unit starts; only those ahead of `_now`, and some that are not.
    _tags: dict[FlowName, float] = field(default_factory=dict)
    _now: float = 0.0
    #: When each member was last started, by its number: among equals the one that waited goes first.
    _last: dict[int, int] = field(default_factory=dict)
    _starts: int = 0
    _looking: bool = False

    @property
    def slots(self) -> int:
        """As many as the model with the most workers: alone, each model can use all that it has."""
        return max((member.slots for member in self.members), default=0)

    def pump(self) -> None:
        """Starts what can be started now."""
        running = self._running()
        # Some may turn out to have nothing; they are asked again next time.
        barren: set[int] = set()
        while True:
            bids = [
                (bid, number)
                for number, member in enumerate(self.members)
                if number not in barren and (bid := member.bid()) is not None
            ]
            if not bids:
                return
            if running >= self.slots:
                self._look_later()
                return
            bid, number = min(bids, key=self._rank)
            member = self.members[number]
            seconds = member.start()
            if seconds is None:
                barren.add(number)
                continue
            running += 1
            self._starts += 1
            self._last[number] = self._starts
            if not bid.urgent:
                self._charge(member, bid, seconds)

    def settle(self, member: Member, bid: Bid, seconds: float) -> None:
        """A unit of the member took so much more than was predicted, or less."""
        if bid.urgent:
            return
        if bid.flow in self._tags:
            self._tags[bid.flow] += seconds / bid.weight
        self._tell(member, bid.flow, seconds)

    def _running(self) -> int:
        """Units that count: one that hangs is its own model's trouble."""
        now = self.clock()
        return sum(
            now - since < OVERDUE * predicted + PATIENCE
            for member in self.members
            for since, predicted in member.busy_since()
        )

    def _start(self, flow: FlowName) -> float:
        return max(self._now, self._tags.get(flow, 0.0))

    def _rank(self, each: tuple[Bid, int]) -> tuple[bool, float, int]:
        bid, number = each
        return not bid.urgent, self._start(bid.flow), self._last.get(number, 0)

    def _charge(self, member: Member, bid: Bid, seconds: float) -> None:
        self._tags[bid.flow] = self._start(bid.flow) + seconds / bid.weight
        # It moves on with the work itself, or newcomers that come once each would keep the others waiting for ever.
        self._now += seconds / max(bid.weight, sum(each.weight for each in self.members))
        if len(self._tags) > MANY:
            self._tags = {flow: tag for flow, tag in self._tags.items() if tag > self._now}
        self._tell(member, bid.flow, seconds)

    def _tell(self, member: Member, flow: FlowName, seconds: float) -> None:
        for other in self.members:
            if other is not member:
                other.charge(flow, seconds)

    def _look_later(self) -> None:
        if not self._looking:
            self._looking = True
            (self.later or asyncio.get_running_loop().call_later)(LOOK, self._look)

    def _look(self) -> None:
        self._looking = False
        self.pump()
