"""Dispatch: hands units from the fair queue to free slots, learns their costs, tries again when a worker dies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from antiphon.domain import errors
from antiphon.domain.unit import Unit, UnitResult
from antiphon.schedule.cost import CostModel
from antiphon.schedule.executor import Executor
from antiphon.schedule.queue import FairQueue, Ticket

#: A unit that brought down this many workers is not tried again.
DEATHS = 3
#: A unit of this length tells the level of prices; queued work is priced anew when that changed by this factor.
ORDINARY, NEWS = 60.0, 1.25


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
class Running:
    ticket: Ticket
    index: int
    unit: Unit | None
    predicted: float
    since: float


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
        on_level: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_level` is called when the cost model has learned so much that queued work should be priced anew."""
        self.name, self.queue, self.executor, self.cost = name, queue, executor, cost
        self._clock, self.on_level = clock, on_level
        #: Hears of every result, with the seconds that its slot was taken; it must be quick and must not raise.
        self.on_served: Callable[[UnitResult, float], None] = lambda result, took: None
        #: Predicted seconds of an ordinary unit when queued work was last priced.
        self._told = self.level
        self._running: dict[int, Running] = {}
        self._serial = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._deaths: dict[tuple[str, int], int] = {}

    @property
    def level(self) -> float:
        """Predicted seconds of an ordinary unit: what prices are compared by."""
        return self.cost.predict(ORDINARY)

    def submit(self, ticket: Ticket) -> None:
        self.queue.push(ticket, self._clock())
        self.pump()

    def again(self, ticket: Ticket, index: int, length: float) -> None:
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
        while len(self.queue) and self.executor.reserve():
            popped = self.queue.pop(self._clock())
            if popped is None:
                self.executor.unreserve()
                return
            ticket, index, cost = popped
            self._serial += 1
            running = Running(ticket, index, None, cost, self._clock())
            self._running[self._serial] = running
            task = asyncio.create_task(self._serve(self._serial, running), name=f"unit {ticket.job}:{index}")
            self._tasks.add(task)
            task.add_done_callback(self._watch)

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
        return self.queue.place(ticket, max(1, self.executor.slots), self._clock(), self.busy())

    def etas(self, tickets: Sequence[Ticket]) -> list[float]:
        """Seconds until each job's last unit is done, of many at once."""
        return self.queue.etas(tickets, max(1, self.executor.slots), self._clock(), self.busy())

    def drain_seconds(self) -> float:
        """Seconds until everything that is queued now is done."""
        return (self.queue.backlog_seconds() + sum(self.busy())) / max(1, self.executor.slots)

    async def _serve(self, serial: int, running: Running) -> None:
        try:
            await self._run(running)
        finally:
            del self._running[serial]
            self.pump()

    async def _run(self, running: Running) -> None:
        ticket, index = running.ticket, running.index
        source: Source = ticket.payload  # type: ignore[assignment]
        try:
            unit = await source.unit(index)
        except errors.AntiphonError as e:
            self.executor.unreserve()
            self.queue.settle(ticket, index, running.predicted, 0.0)
            source.failed(index, e)
            return
        except BaseException:
            self.executor.unreserve()
            raise
        if unit is None:
            self.executor.unreserve()
            self.queue.settle(ticket, index, running.predicted, 0.0)
            return
        running.unit, running.since = unit, self._clock()
        try:
            result = await self.executor.run(unit)
        except errors.WorkerDied as e:
            self._died(running, source, e)
        except errors.AntiphonError as e:
            self.queue.settle(ticket, index, running.predicted, self._clock() - running.since)
            source.failed(index, e)
        except Exception as e:
            # A defect of ours must not leave a client waiting for ever.
            self.queue.settle(ticket, index, running.predicted, 0.0)
            source.failed(index, errors.AntiphonError(f"The server failed over a segment: {type(e).__name__}"))
            raise
        else:
            # What a unit costs is the time that its slot was taken, not what the engine computed of it.
            took = self._clock() - running.since
            self.cost.learn(unit.length, took)
            self.queue.settle(ticket, index, running.predicted, took)
            self.on_served(result, took)
            if not 1 / NEWS < self.level / self._told < NEWS:
                self._told = self.level
                self.on_level()
            self._deaths.pop((ticket.job, index), None)
            source.done(index, result)

    def _died(self, running: Running, source: Source, error: errors.WorkerDied) -> None:
        ticket, index = running.ticket, running.index
        deaths = self._deaths.get((ticket.job, index), 0) + (not isinstance(error, errors.Displaced))
        self._deaths[(ticket.job, index)] = deaths
        if deaths < DEATHS:
            if self.queue.put_back(ticket, index, running.predicted, self._clock()):
                source.lost(index)
            else:
                source.failed(index, error)
            return
        self.queue.settle(ticket, index, running.predicted, 0.0)
        self._forget(ticket)
        source.failed(
            index,
            errors.Poison(
                f"Segment {index + 1} brought its worker down {deaths} times and is not tried again: {error.message}"
            ),
        )

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
