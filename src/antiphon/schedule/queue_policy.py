"""The queue policy: what the dispatcher and the operator's control need of a queue, whatever order it follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from antiphon.domain.job import Priority
from antiphon.schedule.ticket import Ticket

#: A client and a class: the name of a flow.
FlowName = tuple[str, Priority]


@dataclass(frozen=True, slots=True)
class Bid:
    """Whose unit a queue would hand out next."""

    flow: FlowName
    weight: float
    #: The operator moved its job to the front: it goes before all other work of the device.
    urgent: bool = False


class QueuePolicy(Protocol):
    """Tickets in, units out. `now` is seconds of any clock that only grows; all other seconds are predicted ones.

    Every unit that `pop` hands out ends in one `settle` or one `put_back`."""

    #: Units in flight that have one device together, as its dispatcher says; 1 where each has a slot to itself.
    together: int

    def __len__(self) -> int:
        """Jobs with something to hand out, paused or not."""

    # Hand out

    def push(self, ticket: Ticket, now: float) -> None:
        """Queues a job; one whose ticket says so is paused, or in front by its rank. Raises `ValueError` for a ticket
        that was pushed before."""

    def pop(self, now: float, *, waiting: bool = False) -> tuple[Ticket, int, float] | None:
        """The next unit: its job, its number in the job, its seconds. None if nothing may be handed out.

        `waiting`: only of jobs that somebody waits for, and of those that were moved to the front. The ticket stays
        queued with the rest of its units."""

    def head(self, now: float, *, waiting: bool = False) -> Bid | None:
        """Whose unit `pop` would hand out; None if nothing may be handed out."""

    def charge(self, name: FlowName, seconds: float) -> None:
        """A flow was given `seconds` by another queue of the same device; below 0: so much was charged too much."""

    def settle(self, ticket: Ticket, index: int, predicted: float, actual: float) -> None:
        """A unit is done, or never will be: its flow pays for `actual` seconds in place of the `predicted` ones."""

    def put_back(self, ticket: Ticket, index: int, cost: float, now: float) -> bool:
        """Queues a unit again, whose worker died or whose result was lost; it goes first within its job.

        False if the job was removed meanwhile, or the unit is queued already."""

    # Change

    def remove(self, ticket: Ticket) -> None:
        """Takes a job out for good; its units in flight are settled as usual. A second call changes nothing."""

    def reprice(self, ticket: Ticket, factor: float) -> None:
        """Multiplies the seconds of a job's queued units. Raises `ValueError` unless it is finite and above 0."""

    def change_class(self, ticket: Ticket, priority: Priority) -> None:
        """Puts a job into another class; from then on the class counts, not the deadline."""

    def set_waiting(self, ticket: Ticket, waiting: bool) -> None:
        """Says whether somebody waits for a job, from now on."""

    def move_to_front(self, ticket: Ticket) -> None:
        """Puts a job before all others, those moved earlier included. Its units are charged to no flow."""

    def pause(self, what: Ticket | str | None = None) -> None:
        """Hands nothing out of a job, of a client (by name) or of any (None); units in flight go on."""

    def resume(self, what: Ticket | str | None = None) -> None:
        """Ends a `pause` of the same job, client or everything."""

    # Look

    @property
    def weight(self) -> float:
        """Sum of the weights of the flows that want work."""

    def backlog_seconds(self) -> float:
        """Seconds that are queued, paused or not."""

    def backlog_by_class(self) -> Mapping[Priority, float]:
        """`backlog_seconds` by class."""

    def place(self, ticket: Ticket, slots: int, now: float, busy: Sequence[float] = ()) -> tuple[int, float]:
        """Place of a job's next unit, counted in jobs (1: it is next; 0: the job has nothing queued), and `etas`'
        value.

        `slots`: seconds of work that are worked off in a second, which is the number of units that run at a time unless
        they share a device. `busy`: seconds that each running unit, or each device, still takes."""

    def etas(self, tickets: Iterable[Ticket], slots: int, now: float, busy: Sequence[float] = ()) -> list[float]:
        """For each job, the seconds until its last unit is done if nothing else arrives; infinite while it is
        paused."""
