"""Dispatch: hands units from a queue to free slots, learns what they cost, and retries them when a worker dies."""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, cast

from antiphon.domain import errors
from antiphon.domain.unit import Unit, UnitResult
from antiphon.schedule.cost import CostModel
from antiphon.schedule.device import Device
from antiphon.schedule.executor import Executor
from antiphon.schedule.queue_policy import Bid, FlowName, QueuePolicy
from antiphon.schedule.ticket import Ticket

#: A unit over which this many workers died is not tried again; of one that had the worker to itself, so many.
MAX_DEATHS, MAX_DEATHS_ALONE = 3, 2
#: Length of the unit whose predicted seconds are the price level, unless a dispatcher is given another.
REFERENCE_LENGTH = 60.0
#: How often each slot's next unit is followed to its end, and the part of a sum that rounding may take.
LAPS, ROUNDING = 4, 1e-6
#: Where a worker has at least `FEW` slots, one in `KEPT` is kept for those who wait, and at least one a worker.
FEW, KEPT = 4, 16
#: Queued work is repriced when the price level has changed by this factor.
REPRICE_FACTOR = 1.25


class UnitSource(Protocol):
    """The payload of a ticket: where its units come from and where their results go."""

    async def unit(self, index: int) -> Unit | None:
        """The unit to run; None if it is not needed any more (it was cached meanwhile, or runs for another job)."""

    def done(self, index: int, result: UnitResult) -> None:
        """The unit's result."""

    def chunk(self, index: int, payload: bytes) -> None:
        """The next part of a live unit's result, before its end. After `lost` they come from the beginning again."""

    def lost(self, index: int) -> None:
        """The unit's worker died; `unit` will be called for it again."""

    def failed(self, index: int, error: errors.AntiphonError) -> None:
        """The unit failed, and is not tried again."""


@dataclass(slots=True)
class RunningUnit:
    """A unit that has a slot."""

    ticket: Ticket
    index: int
    #: None until its source has given it.
    unit: Unit | None
    #: Seconds.
    predicted: float
    #: Seconds of the dispatcher's clock.
    since: float
    #: The flow that was charged for it on the device; None if the model has the device alone.
    bid: Bid | None = None


class Dispatcher:
    """One model's. Its owner calls `pump` whenever a slot or a unit may have become available."""

    def __init__(
        self,
        name: str,
        queue: QueuePolicy,
        executor: Executor,
        cost: CostModel,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_price_level: Callable[[], None] = lambda: None,
        on_served: Callable[[UnitResult, float], None] = lambda result, seconds: None,
        reference_length: float = REFERENCE_LENGTH,
    ) -> None:
        """`on_price_level` is called when the price level has changed so much that queued work should be repriced,
        `on_served` with every result and the seconds that it cost. Both must be quick and must not raise.

        `reference_length`: a usual length of a unit, in the unit of length of the model's kind of work."""
        self.name, self.queue, self.executor, self.cost = name, queue, executor, cost
        self._clock, self.on_price_level, self._reference_length = clock, on_price_level, reference_length
        self.device = Device(clock)
        self.device.members.append(self)
        self._on_served = on_served
        #: Price level when queued work was last priced.
        self._priced_at = self.price_level
        self._running: dict[int, RunningUnit] = {}
        self._serial = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._deaths: dict[tuple[str, int], int] = {}
        #: Units that may have ended a worker which computed others in the same steps.
        self._suspected: set[tuple[str, int]] = set()
        self._alone = asyncio.Lock()

    @property
    def price_level(self) -> float:
        """Predicted seconds of a unit of the reference length: by this, prices of different times are compared."""
        return self.cost.predict(self._reference_length)

    def submit(self, ticket: Ticket) -> None:
        """Queues a job."""
        self.queue.push(ticket, self._clock())
        self.pump()

    def requeue(self, ticket: Ticket, index: int, length: float) -> None:
        """Queues a unit again whose result was lost, or that another job should have computed and did not."""
        if self.queue.put_back(ticket, index, self.cost.predict(length), self._clock()):
            self.pump()

    def withdraw(self, ticket: Ticket, keep: Callable[[Unit], bool] = lambda _: False) -> None:
        """Takes a job out: its queued units go, and its running ones are cancelled unless `keep` says otherwise."""
        self.queue.remove(ticket)
        self._forget(ticket)
        for running in self._running.values():
            if running.ticket is ticket and running.unit is not None and not keep(running.unit):
                self.executor.cancel(running.unit.id)

    def pump(self) -> None:
        """Hands out what can be handed out now, of all models of its device."""
        if len(self.device.members) > 1:
            self.device.pump()
            return
        while len(self.queue) and self.executor.free > 0 and self.start() is not None:
            pass

    # As a member of its device

    def share(self, device: Device) -> None:
        """Moves it to a device that other models use, too."""
        self.device.members.remove(self)
        self.device = device
        device.members.append(self)

    @property
    def parallel(self) -> int:
        return self.executor.parallel

    @property
    def unit_share(self) -> float:
        return self.executor.parallel / self.executor.slots if self.executor.slots else 1.0

    @property
    def _crowd(self) -> float:
        """How many times longer a running unit takes than it costs, since others are computed in the same steps."""
        return max(1.0, len(self._running) / max(1, self.executor.parallel))

    @property
    def weight(self) -> float:
        return self.queue.weight

    def busy_since(self) -> list[tuple[float, float]]:
        crowd = self._crowd
        return [(running.since, running.predicted * crowd) for running in self._running.values()]

    def bid(self) -> Bid | None:
        free = self.executor.free > 0 and len(self.queue) > 0
        return self.queue.head(self._clock(), waiting=self._only_waiting) if free else None

    @property
    def _only_waiting(self) -> bool:
        """Whether the slots that are free are kept for those who wait: where many share a device, each ends late."""
        slots, parallel = self.executor.slots, self.executor.parallel
        return slots >= FEW * parallel and self.executor.free <= max(parallel, slots // KEPT)

    def charge(self, flow: FlowName, seconds: float) -> None:
        self.queue.charge(flow, seconds)

    def start(self) -> float | None:
        """Hands out the next unit; returns its predicted seconds, None if there is no slot or nothing to hand out."""
        bid = self.bid() if len(self.device.members) > 1 else None
        waiting = self._only_waiting
        if not self.executor.reserve():
            return None
        self.queue.together = max(1, self.executor.slots // max(1, self.executor.parallel))
        popped = self.queue.pop(self._clock(), waiting=waiting)
        if popped is None:
            self.executor.unreserve()
            return None
        ticket, index, cost = popped
        self._serial += 1
        running = self._running[self._serial] = RunningUnit(ticket, index, None, cost, self._clock(), bid)
        task = asyncio.create_task(self._serve(self._serial, running), name=f"unit {ticket.job}:{index}")
        self._tasks.add(task)
        task.add_done_callback(self._watch)
        return cost

    def busy(self) -> list[float]:
        """Predicted seconds that each running unit still takes or, where units share devices, that each device does."""
        now, crowd, parallel = self._clock(), self._crowd, max(1, self.executor.parallel)
        left = [max(0.0, r.predicted - (now - r.since) / crowd) for r in self._running.values()]
        return left if len(left) <= parallel else [sum(left) / parallel] * parallel

    @property
    def running(self) -> int:
        """Units that have a slot now."""
        return len(self._running)

    @property
    def running_jobs(self) -> int:
        """Jobs that have a running unit."""
        return len({running.ticket.job for running in self._running.values()})

    def place(self, ticket: Ticket) -> tuple[int, float]:
        """Place of a job's next unit (1: it is next; 0: it has nothing queued), and `etas`' value."""
        position, eta = self.queue.place(ticket, max(1, self.executor.parallel), self._clock(), self.busy())
        return position, self._on_shared_device(eta)

    def etas(self, tickets: Sequence[Ticket]) -> list[float]:
        """For each job, the seconds until its last unit is done if nothing else arrives; infinite while it pauses."""
        slots = max(1, self.executor.parallel)
        return [self._on_shared_device(eta) for eta in self.queue.etas(tickets, slots, self._clock(), self.busy())]

    def _on_shared_device(self, eta: float) -> float:
        """An ETA that counts the other models of the device, if it has too few slots for all of them: in the same time
        each of them runs as much, or all that it has."""
        others = [other for other in self.device.members if other is not self and other.drain_seconds() > 0]
        crowded = self.parallel + sum(other.parallel for other in others) > self.device.parallel
        if not (others and crowded and math.isfinite(eta)):
            return eta
        return eta + sum(min(eta, other.drain_seconds()) for other in others)

    def drain_seconds(self) -> float:
        """Seconds until everything that is queued or runs now is done."""
        return (self.queue.backlog_seconds() + sum(self.busy())) / max(1, self.executor.parallel)

    def seconds_until(self, work: float) -> float:
        """Seconds until units that cost `work` seconds have ended, if more of them wait than run."""
        parallel = max(1, self.executor.parallel)
        if self.executor.slots <= parallel or not self._running:
            return work / parallel
        # Units that share a device end late and together, so it matters where they are now. As one ends, another
        # begins.
        now, crowd = self._clock(), self._crowd
        ends = [(max(0.0, r.predicted * crowd - (now - r.since)), r.predicted) for r in self._running.values()]
        heapq.heapify(ends)
        usual, ended, end = sum(cost for _, cost in ends) / len(ends), 0.0, 0.0
        for _ in range(LAPS * len(ends)):
            end, cost = ends[0]
            ended += cost
            if ended >= work * (1 - ROUNDING):
                return end
            heapq.heapreplace(ends, (end + usual * crowd, usual))
        return end + (work - ended) / parallel

    async def _serve(self, serial: int, running: RunningUnit) -> None:
        try:
            await self._run(running)
        finally:
            del self._running[serial]
            self.pump()

    async def _run(self, running: RunningUnit) -> None:
        if (running.ticket.job, running.index) not in self._suspected:
            await self._run_unit(running, alone=False)
        else:
            # One after the other, or each would wait for the worker to be without the others.
            async with self._alone:
                await self._run_unit(running, alone=True)

    async def _run_unit(self, running: RunningUnit, *, alone: bool) -> None:
        index, source = running.index, cast(UnitSource, running.ticket.payload)
        unit = await self._fetch(running, source)
        if unit is None:
            return
        if alone:
            unit = replace(unit, wish=replace(unit.wish, alone=True))
        running.unit, running.since = unit, self._clock()
        try:
            result = await self.executor.run(unit, on_chunk=partial(source.chunk, index))
        except errors.WorkerDied as e:
            self._died(running, source, e)
        except errors.AntiphonError as e:
            self._settle(running, (self._clock() - running.since) / self._crowd)
            source.failed(index, e)
        except Exception as e:
            # After a defect of the server no client may be left waiting.
            self._settle(running, 0.0)
            source.failed(index, errors.AntiphonError(f"The server failed over a segment: {type(e).__name__}"))
            raise
        else:
            self._done(running, source, unit, result)

    async def _fetch(self, running: RunningUnit, source: UnitSource) -> Unit | None:
        """The unit from its source; None if there is nothing to run, and then its slot is free again."""
        unit = None
        try:
            unit = await source.unit(running.index)
        except errors.AntiphonError as e:
            self._settle(running, 0.0)
            source.failed(running.index, e)
        else:
            if unit is None:
                self._settle(running, 0.0)
        finally:
            if unit is None:
                self.executor.unreserve()
        return unit

    def _done(self, running: RunningUnit, source: UnitSource, unit: Unit, result: UnitResult) -> None:
        # A unit costs the time that its slot was taken, not the time of the engine alone: others wait for the slot.
        # Where a device computes many in the same steps, it costs its share of them, since others wait for the device.
        took = result.seconds if result.shared else self._clock() - running.since
        self.cost.learn(unit.length, took)
        self._settle(running, took)
        self._on_served(result, took)
        if not 1 / REPRICE_FACTOR < self.price_level / self._priced_at < REPRICE_FACTOR:
            self._priced_at = self.price_level
            self.on_price_level()
        self._deaths.pop((running.ticket.job, running.index), None)
        self._suspected.discard((running.ticket.job, running.index))
        try:
            source.done(running.index, result)
        except Exception as e:
            source.failed(running.index, errors.AntiphonError(f"The server failed over a result: {type(e).__name__}"))
            raise

    def _died(self, running: RunningUnit, source: UnitSource, error: errors.WorkerDied) -> None:
        ticket, index = running.ticket, running.index
        key = (ticket.job, index)
        deaths = self._deaths[key] = self._deaths.get(key, 0) + (not isinstance(error, errors.Displaced))
        if isinstance(error, errors.Suspected):
            self._suspected.add(key)
        if deaths < (MAX_DEATHS_ALONE if key in self._suspected else MAX_DEATHS):
            self._correct(running, 0.0)
            if self.queue.put_back(ticket, index, running.predicted, self._clock()):
                source.lost(index)
            else:
                source.failed(index, error)
            return
        self._settle(running, 0.0)
        self._forget(ticket)
        reason = f"Segment {index + 1} brought its worker down {deaths} times and is not tried again: {error.message}"
        source.failed(index, errors.Poison(reason))

    def _settle(self, running: RunningUnit, seconds: float) -> None:
        """Its flow pays for the seconds that it took in place of the predicted ones, in its queue and on the device."""
        self.queue.settle(running.ticket, running.index, running.predicted, seconds)
        self._correct(running, seconds)

    def _correct(self, running: RunningUnit, seconds: float) -> None:
        if running.bid is not None:
            self.device.settle(self, running.bid, seconds - running.predicted)

    def _forget(self, ticket: Ticket) -> None:
        if self._deaths:
            self._deaths = {key: deaths for key, deaths in self._deaths.items() if key[0] != ticket.job}
        self._suspected = {key for key in self._suspected if key[0] != ticket.job}

    def _watch(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"dispatch of {task.get_name()} failed", "exception": error, "task": task}
            )
