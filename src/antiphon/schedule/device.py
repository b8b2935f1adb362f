"""A device that several models share: how many of their units run at a time, and which model goes next.

Each model has a queue of its own, which is fair between its flows. Between the models that share a device, the next
unit is that of the flow that was given least of the device, in seconds by weight, over all of its models. That is the
rule of `fairness` again, with the heads of the queues in place of the flows. A flow also pays in every queue for what
it was given by the others. So a client that floods two models gets no more than one that asks one of them, or a third,
for a sentence.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from antiphon.schedule import fairness
from antiphon.schedule.queue_policy import Bid, FlowName

#: A unit that takes longer than this many times its predicted seconds plus these seconds no longer holds up the others.
OVERDUE, PATIENCE = 4.0, 10.0
#: Shares that add up to a whole may lack this much of it.
TINY = 1e-6
#: Seconds between looks for overdue units while another model waits.
LOOK = 1.0
#: Number of tags above which those that virtual time has caught up with are dropped.
MANY = 1024


class Member(Protocol):
    """A model's dispatcher, as the device sees it."""

    @property
    def parallel(self) -> int:
        """Seconds of units' prices that its workers could work off in a second."""

    @property
    def unit_share(self) -> float:
        """The part of one of these that a running unit takes: 1, or less where others are computed with it."""

    @property
    def weight(self) -> float:
        """Sum of the weights of the flows that want work from it."""

    def busy_since(self) -> list[tuple[float, float]]:
        """For each running unit: when it began, and the seconds that it takes by prediction."""

    def bid(self) -> Bid | None:
        """Whose unit it would run next; None if it has nothing to run, or no free slot."""

    def drain_seconds(self) -> float:
        """Seconds that all of its work takes when it has the device alone."""

    def charge(self, flow: FlowName, seconds: float) -> None:
        """Another model gave a flow so many seconds; seconds below 0 take back what was charged too much."""

    def start(self) -> float | None:
        """Starts the unit of its bid; returns its predicted seconds, None if it could not start one."""


@dataclass(slots=True, eq=False)
class Device:
    """Models that take turns. Used in one event loop."""

    clock: Callable[[], float] = time.monotonic
    #: Calls a function after some seconds; None: the event loop's `call_later`.
    later: Callable[[float, Callable[[], None]], object] | None = None
    members: list[Member] = field(default_factory=list)
    #: Start tags (see `fairness`): all that are ahead of `_now`, and some that are not.
    _tags: dict[FlowName, float] = field(default_factory=dict)
    _now: float = 0.0
    #: The number of each member's last start: of equal members, the one that waited longest goes first.
    _last: dict[int, int] = field(default_factory=dict)
    _starts: int = 0
    _timer_set: bool = False

    @property
    def parallel(self) -> int:
        """As many as the model with the most workers: alone, each model can use all that it has."""
        return max((member.parallel for member in self.members), default=0)

    def pump(self) -> None:
        """Starts every unit that can be started now."""
        running = self._running()
        # Members whose bid came to nothing; they are asked again at the next call.
        barren: set[int] = set()
        while True:
            bids = [
                (bid, number)
                for number, member in enumerate(self.members)
                if number not in barren and (bid := member.bid()) is not None
            ]
            if not bids:
                return
            if running > self.parallel - TINY:
                self._look_later()
                return
            bid, number = min(bids, key=self._rank)
            member = self.members[number]
            if (seconds := member.start()) is None:
                barren.add(number)
                continue
            running += member.unit_share
            self._last[number] = self._starts = self._starts + 1
            if not bid.urgent:
                self._charge(member, bid, seconds)

    def settle(self, member: Member, bid: Bid, seconds: float) -> None:
        """A unit of a member took so many seconds more than predicted; below 0: fewer."""
        if bid.urgent:
            return
        if bid.flow in self._tags:
            self._tags[bid.flow] = fairness.charge(self._tags[bid.flow], seconds, bid.weight)
        self._charge_others(member, bid.flow, seconds)

    def _running(self) -> float:
        """What running units take of the device. One that hangs takes nothing: only its own model waits for it."""
        now = self.clock()
        return sum(
            member.unit_share * (now - since < OVERDUE * predicted + PATIENCE)
            for member in self.members
            for since, predicted in member.busy_since()
        )

    def _start(self, flow: FlowName) -> float:
        return fairness.start(self._tags.get(flow, 0.0), self._now)

    def _rank(self, each: tuple[Bid, int]) -> tuple[bool, float, int]:
        bid, number = each
        return not bid.urgent, self._start(bid.flow), self._last.get(number, 0)

    def _charge(self, member: Member, bid: Bid, seconds: float) -> None:
        self._tags[bid.flow] = fairness.charge(self._start(bid.flow), seconds, bid.weight)
        sharing = max(bid.weight, sum(each.weight for each in self.members))
        self._now = fairness.advance(self._now, seconds, sharing)
        if len(self._tags) > MANY:
            self._tags = {flow: tag for flow, tag in self._tags.items() if tag > self._now}
        self._charge_others(member, bid.flow, seconds)

    def _charge_others(self, member: Member, flow: FlowName, seconds: float) -> None:
        for other in self.members:
            if other is not member:
                other.charge(flow, seconds)

    def _look_later(self) -> None:
        if not self._timer_set:
            self._timer_set = True
            (self.later or asyncio.get_running_loop().call_later)(LOOK, self._look)

    def _look(self) -> None:
        self._timer_set = False
        self.pump()
