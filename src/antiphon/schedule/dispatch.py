"""Dispatch: hands units from the fair queue to free slots, learns their costs, tries again when a worker dies."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from antiphon.domain import errors
from antiphon.domain.unit import Unit, UnitResult
from antiphon.schedule.cost import CostModel
from antiphon.schedule.device import Bid, Device, FlowName
from antiphon.schedule.executor import Executor
from antiphon.schedule.fair_queue import FairQueue, Ticket

#: A unit that brought down this many workers is not tried again.
MAX_DEATHS = 3
#: A unit of this length tells the level of prices; queued work is priced anew when that changed by this factor.
REFERENCE_LENGTH, REPRICE_FACTOR = 60.0, 1.25


class Source(Protocol):
    """What a ticket's payload is: where its units come from and where their results go."""

    async def unit(self, index: int) -> Unit | None:
        """The unit to run; None when it is needed no more (it was cached meanwhile, or runs for another job)."""
        ...

    def done(self, index: int, result: UnitResult) -> None: ...

    def lost(self, index: int) -> None:
        """Its worker died; the unit will be asked for again."""
        ...

    def failed(self, index: int, error: errors.AntiphonError) -> None:
        """It will not be tried again."""
        ...


@dataclass(slots=True)
class RunningUnit:
    ticket: Ticket
    index: int
    unit: Unit | None
    predicted: float
    since: float
    #: Who was charged for it on the device.
    bid: Bid | None = None


class Dispatcher:
    """One per model. `pump` is called whenever a slot or a unit may have become available."""

    def __init__(
        self,
        name: str,
        queue: FairQueue,
        executor: Executor,
        cost: CostModel,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_price_level: Callable[[], None] = lambda: None,
        on_served: Callable[[UnitResult, float], None] = lambda result, seconds: None,
    ) -> None:
        """`on_price_level` is called when the cost model has learned so much that queued work should be priced again,
        `on_served` with every result and the seconds that its slot was taken. Both must be quick and must not raise."""
        self.name, self.queue, self.executor, self.cost = name, queue, executor, cost
        self._clock, self.on_price_level = clock, on_price_level
        self.device = Device(clock)
        self.device.members.append(self)
        self._on_served = on_served
        #: Predicted seconds of an ordinary unit when queued work was last priced.
        self._priced_at = self.price_level
        self._running: dict[int, RunningUnit] = {}
        self._serial = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._deaths: dict[tuple[str, int], int] = {}

    @property
    def price_level(self) -> float:
        """Predicted seconds of an ordinary unit: what prices are compared by."""
        return self.cost.predict(REFERENCE_LENGTH)

    def submit(self, ticket: Ticket) -> None:
        self.queue.push(ticket, self._clock())
        self.pump()

    def requeue(self, ticket: Ticket, index: int, length: float) -> None:
        """Queues a unit once more whose result was lost, or that another job was to make and did not."""
        if self.queue.put_back(ticket, index, self.cost.predict(length), self._clock()):
            self.pump()

    def withdraw(self, ticket: Ticket, keep: Callable[[Unit], bool] = lambda _: False) -> None:
        """Takes a job out: what is queued goes, what runs is cancelled unless somebody else wants it (`keep`)."""
        self.queue.remove(ticket)
        self._forget(ticket)
        for running in self._running.values():
            if running.ticket is ticket and running.unit is not None and not keep(running.unit):
                self.executor.cancel(running.unit.id)

    def pump(self) -> None:
        """Hands out what can be handed out now, of every model of its device."""
        if len(self.device.members) > 1:
            self.device.pump()
            return
        while len(self.queue) and self.executor.free > 0 and self.start() is not None:
            pass

    # As a member of its device

    def share(self, device: Device) -> None:
        """From now on its units run on a device that other models use, too."""
        self.device.members.remove(self)
        self.device = device
        device.members.append(self)

    @property
    def slots(self) -> int:
        return self.executor.slots

    @property
    def weight(self) -> float:
        return self.queue.weight

    def busy_since(self) -> list[tuple[float, float]]:
        return [(running.since, running.predicted) for running in self._running.values()]

    def bid(self) -> Bid | None:
        if not len(self.queue) or self.executor.free <= 0:
            return None
        head = self.queue.head(self._clock())
        if head is None:
            return None
        flow, urgent = head
        return Bid((flow.client, flow.priority), flow.weight, urgent)

    def charge(self, flow: FlowName, seconds: float) -> None:
        self.queue.charge(flow, seconds)

    def start(self) -> float | None:
        """Hands out the next unit; its predicted seconds, or None if nothing may go."""
        bid = self.bid() if len(self.device.members) > 1 else None
        if not self.executor.reserve():
            return None
        popped = self.queue.pop(self._clock())
        if popped is None:
            self.executor.unreserve()
            return None
        ticket, index, cost = popped
        self._serial += 1
        running = RunningUnit(ticket, index, None, cost, self._clock(), bid)
        self._running[self._serial] = running
        task = asyncio.create_task(self._serve(self._serial, running), name=f"unit {ticket.job}:{index}")
        self._tasks.add(task)
        task.add_done_callback(self._watch)
        return cost

    def busy(self) -> list[float]:
        """Predicted seconds that each running unit still takes."""
        now = self._clock()
        return [max(0.0, r.predicted - (now - r.since)) for r in self._running.values()]

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def running_jobs(self) -> int:
        """Jobs that have a unit with a worker now."""
        return len({running.ticket.job for running in self._running.values()})

    def place(self, ticket: Ticket) -> tuple[int, float]:
        """Place in line of the job's next unit (1 is next, 0 has nothing queued), and the seconds until its last unit
        is done if nothing else arrives."""
        position, eta = self.queue.place(ticket, max(1, self.executor.slots), self._clock(), self.busy())
        return position, self._beside(eta)

    def etas(self, tickets: Sequence[Ticket]) -> list[float]:
        """Seconds until each job's last unit is done, of many at once."""
        etas = self.queue.etas(tickets, max(1, self.executor.slots), self._clock(), self.busy())
        return [self._beside(eta) for eta in etas]

    def _beside(self, eta: float) -> float:
        """Seconds, if other models want the device, too, and it has not room for all: in that time each of them runs
        as much, or all that it has."""
        others = [other for other in self.device.members if other is not self and other.drain_seconds() > 0]
        crowded = self.slots + sum(other.slots for other in others) > self.device.slots
        if not (others and crowded and math.isfinite(eta)):
            return eta
        return eta + sum(min(eta, other.drain_seconds()) for other in others)

    def drain_seconds(self) -> float:
        """Seconds until everything that is queued now is done."""
        return (self.queue.backlog_seconds() + sum(self.busy())) / max(1, self.executor.slots)

    async def _serve(self, serial: int, running: RunningUnit) -> None:
        try:
            await self._run(running)
        finally:
            del self._running[serial]
            self.pump()

    async def _run(self, running: RunningUnit) -> None:
        ticket, index = running.ticket, running.index
        source: Source = ticket.payload  # type: ignore[assignment]
        try:
            unit = await source.unit(index)
        except errors.AntiphonError as e:
            self.executor.unreserve()
            self._settle(running, 0.0)
            source.failed(index, e)
            return
        except BaseException:
            self.executor.unreserve()
            raise
        if unit is None:
            self.executor.unreserve()
            self._settle(running, 0.0)
            return
        running.unit, running.since = unit, self._clock()
        try:
            result = await self.executor.run(unit)
        except errors.WorkerDied as e:
            self._died(running, source, e)
        except errors.AntiphonError as e:
            self._settle(running, self._clock() - running.since)
            source.failed(index, e)
        except Exception as e:
            # A defect of ours must not leave a client waiting for ever.
            self._settle(running, 0.0)
            source.failed(index, errors.AntiphonError(f"The server failed over a segment: {type(e).__name__}"))
            raise
        else:
            # What a unit costs is the time that its slot was taken, not what the engine computed of it.
            took = self._clock() - running.since
            self.cost.learn(unit.length, took)
            self._settle(running, took)
            self._on_served(result, took)
            if not 1 / REPRICE_FACTOR < self.price_level / self._priced_at < REPRICE_FACTOR:
                self._priced_at = self.price_level
                self.on_price_level()
            self._deaths.pop((ticket.job, index), None)
            try:
                source.done(index, result)
            except Exception as e:
                source.failed(index, errors.AntiphonError(f"The server failed over a result: {type(e).__name__}"))
                raise

    def _died(self, running: RunningUnit, source: Source, error: errors.WorkerDied) -> None:
        ticket, index = running.ticket, running.index
        deaths = self._deaths.get((ticket.job, index), 0) + (not isinstance(error, errors.Displaced))
        self._deaths[(ticket.job, index)] = deaths
        if deaths < MAX_DEATHS:
            self._correct(running, 0.0)
            if self.queue.put_back(ticket, index, running.predicted, self._clock()):
                source.lost(index)
            else:
                source.failed(index, error)
            return
        self._settle(running, 0.0)
        self._forget(ticket)
        source.failed(
            index,
            errors.Poison(
                f"Segment {index + 1} brought its worker down {deaths} times and is not tried again: {error.message}"
            ),
        )

    def _settle(self, running: RunningUnit, seconds: float) -> None:
        """Its flow pays for what it took in place of what was predicted, in its queue and on the device."""
        self.queue.settle(running.ticket, running.index, running.predicted, seconds)
        self._correct(running, seconds)

    def _correct(self, running: RunningUnit, seconds: float) -> None:
        if running.bid is not None:
            self.device.settle(self, running.bid, seconds - running.predicted)

    def _forget(self, ticket: Ticket) -> None:
        if self._deaths:
            for key in [key for key in self._deaths if key[0] == ticket.job]:
                del self._deaths[key]

    def _watch(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"dispatch of {task.get_name()} failed", "exception": error, "task": task}
            )
