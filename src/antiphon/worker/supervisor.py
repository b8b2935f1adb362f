"""Keeps one place of a pool staffed: starts a worker, starts it again when it dies, replaces it when it grows."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from antiphon.domain import errors
from antiphon.worker import memory
from antiphon.worker.leak_detector import LeakDetector
from antiphon.worker.process import WorkerProcess

log = structlog.get_logger("antiphon.worker")

#: Failures within `WINDOW` seconds after which the model is said to be unavailable.
FAILURES, WINDOW = 5, 60.0
#: Seconds: the first and the longest wait before another start.
BACKOFF_FIRST, BACKOFF_LONGEST = 1.0, 60.0
#: Seconds that a worker must have been ready for its death to be an accident, after which the next starts at once.
STEADY = 5.0
#: Deaths of new workers over their first unit, until it is the engine that is thought to be broken and not the units.
OVER_UNITS = 12
#: Seconds between two looks at a worker's size.
LOOK = 1.0


@dataclass(frozen=True, slots=True)
class Recycling:
    """When a worker is replaced between two units; 0: never for that reason."""

    #: Units it has computed.
    units: int = 0
    #: Bytes, main memory and GPU together, that it grew since it was ready.
    growth: int = 0
    #: Bytes of steady growth, unit after unit, that are taken for a leak.
    leak: int = 0


class Backoff:
    """How long to wait after a failure, and whether there were too many. Pure: the clock is passed in."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()  # noqa: S311 - spreads restarts, keeps no secret
        self._failed: deque[float] = deque(maxlen=FAILURES)
        self._wait = 0.0
        #: Deaths over a first unit, since one was computed.
        self._over_units = 0

    def failed(self, now: float, ready_for: float, *, worked: bool = False, at_work: bool = False) -> float:
        """Seconds to wait, after a worker that was ready for so long (0: never) failed.

        `worked`: it had computed some unit; `at_work`: it died over one.
        """
        if worked or ready_for >= STEADY:
            # An accident, not a failed start: however many there are of them, the model can run.
            self.recovered()
            return 0.0
        if at_work and self._over_units < OVER_UNITS:
            # The unit may be to blame: one client's poison must not keep the model from everybody else.
            self._over_units += 1
            return 0.0
        self._failed.append(now)
        if self._wait == 0.0 and ready_for > 0:
            self._wait = BACKOFF_FIRST
            return 0.0
        wait = max(BACKOFF_FIRST, self._wait)
        self._wait = min(BACKOFF_LONGEST, wait * 2)
        # Half of it by chance: workers that died together do not come back together.
        return wait * (0.5 + self._rng.random() / 2)

    def hopeless(self, now: float) -> bool:
        """Whether the last `FAILURES` failed starts lie within `WINDOW` seconds."""
        return len(self._failed) == FAILURES and now - self._failed[0] <= WINDOW

    def recovered(self) -> None:
        """It ran well: what was before does not count any more."""
        self._failed.clear()
        self._wait = 0.0
        self._over_units = 0


class Supervisor:
    """One place of a pool; `run` is its life, in a task that the pool watches."""

    def __init__(
        self,
        name: str,
        make: Callable[[str], WorkerProcess],
        recycling: Recycling,
        *,
        on_change: Callable[[], None],
        spare_first: bool = True,
        footprint: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self._make, self._recycling = name, make, recycling
        self._on_change, self._spare_first, self._footprint, self._clock = on_change, spare_first, footprint, clock
        #: The worker that gets the units, and its successor while that is being started.
        self.worker: WorkerProcess | None = None
        self.spare: WorkerProcess | None = None
        #: Starts after the first.
        self.restarts = 0
        self.recycled = 0
        #: Why the last worker ended badly, and what would help.
        self.error: str | None = None
        self.hint: str | None = None
        self.hopeless = False
        self._backoff = Backoff()
        self._leak_detector = LeakDetector(recycling.leak)
        self._restart = asyncio.Event()
        self._starts = self._stops = 0
        self._served = False

    def workers(self) -> list[WorkerProcess]:
        return [worker for worker in (self.worker, self.spare) if worker is not None]

    @property
    def fresh(self) -> bool:
        """Whether its first worker is still to come."""
        return not self._served and self.error is None

    def restart(self) -> None:
        """Replaces the worker as soon as it is between two units."""
        self._restart.set()

    async def run(self) -> None:
        """Until it is cancelled; the worker it leaves is ended by `stop`."""
        while True:
            wait = await self._one_life()
            await asyncio.sleep(wait)

    async def stop(self, grace: float) -> None:
        """Ends its workers, each with `grace` seconds for what it holds; `run` must have ended."""
        await asyncio.gather(*(worker.stop(grace) for worker in self.workers()))
        self.worker = self.spare = None
        self._stops += 1

    async def _one_life(self) -> float:
        """From a start to an end; seconds to wait before the next."""
        worker = self.worker = self._next()
        ready_at: float | None = None
        try:
            await worker.start()
            ready_at = self._clock()
            self.error = self.hint = None
            self.hopeless, self._served = False, True
            self._on_change()
            while (successor := await self._serve(worker)) is not None:
                worker = self.worker = successor
                self._on_change()
        except errors.WorkerDied:
            pass
        if worker.exit_reason is None or not worker.exit_reason.fault:
            return 0.0
        ready_for = self._clock() - ready_at if ready_at is not None else 0.0
        return self._failed(worker, ready_for)

    def _failed(self, worker: WorkerProcess, ready_for: float) -> float:
        now = self._clock()
        wait = self._backoff.failed(now, ready_for, worked=worker.units > 0, at_work=ready_for > 0 and worker.given > 0)
        self.error, self.hint = worker.reason, worker.hint
        self.hopeless = self._backoff.hopeless(now)
        if self.hopeless:
            wait = BACKOFF_LONGEST
        log.warning("worker ended", worker=worker.name, reason=worker.reason, again_in=round(wait, 1))
        self._on_change()
        return wait

    async def _serve(self, worker: WorkerProcess) -> WorkerProcess | None:
        """Watches a ready worker; its successor when it was recycled, None when it ended."""
        self._leak_detector = LeakDetector(self._recycling.leak)
        while worker.state == "ready" and worker.exit_reason is None:
            if self._worn(worker):
                return await self._recycle(worker)
            try:
                async with asyncio.timeout(LOOK):
                    await worker.wait()
            except TimeoutError:
                continue
        await worker.wait()
        return None

    def _worn(self, worker: WorkerProcess) -> bool:
        if self._restart.is_set():
            self._restart.clear()
            return True
        units, growth = self._recycling.units, self._recycling.growth
        leaks = self._leak_detector.look(worker.units, worker.size)
        if leaks:
            log.warning("worker leaks", worker=worker.name, units=worker.units, size=worker.size)
        return bool(leaks or (units and worker.units >= units) or (growth and worker.size - worker.size_ready > growth))

    async def _recycle(self, worker: WorkerProcess) -> WorkerProcess | None:
        """Replaces a worker; its successor is ready first where the memory carries both, so that no slot is lost."""
        log.info("recycling worker", worker=worker.name, units=worker.units, size=worker.size)
        self.recycled += 1
        need = max(self._footprint, worker.size_ready)
        if not (self._spare_first and memory.available() > need * 1.2):
            worker.accepting = False
            self._on_change()
            await worker.stop(worker.limits.unit_timeout)
            return None
        spare = self.spare = self._next()
        try:
            await spare.start()
        except errors.WorkerDied:
            # The old one still serves: worn is better than gone.
            log.warning("the successor did not start", worker=spare.name, reason=spare.reason)
            self._recycling = Recycling()
            self.spare = None
            return worker
        worker.accepting = False
        self.worker, self.spare = spare, worker
        self._on_change()
        await worker.stop(worker.limits.unit_timeout)
        self.spare = None
        return spare

    def _next(self) -> WorkerProcess:
        self._starts += 1
        self.restarts = self._starts - 1 - self.recycled - self._stops
        return self._make(self.name if self._starts == 1 else f"{self.name}.{self._starts}")
