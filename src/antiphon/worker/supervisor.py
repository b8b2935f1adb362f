"""The supervisor of one worker of a pool: starts it, restarts it when it dies, replaces it when it grows."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable

import structlog

from antiphon.domain import errors
from antiphon.worker import memory
from antiphon.worker.leak_detector import LeakDetector
from antiphon.worker.limits import Recycling
from antiphon.worker.process import WorkerProcess

log = structlog.get_logger("antiphon.worker")

#: Failed starts within `WINDOW` seconds after which the model counts as unavailable.
FAILURES, WINDOW = 5, 60.0
#: Seconds: the first and the longest wait between two starts.
BACKOFF_FIRST, BACKOFF_LONGEST = 1.0, 60.0
#: Seconds that a worker must have been ready for its death to count as an accident: the next one then starts at once.
STEADY = 5.0
#: Deaths of new workers over their first unit after which the engine counts as broken, not the units.
OVER_UNITS = 12
#: Seconds between two checks of a worker's size.
LOOK = 1.0


class Backoff:
    """How long to wait after a failure, and whether there were too many. Pure: `now` is monotonic seconds."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()  # noqa: S311 - spreads restarts, keeps no secret
        self._failed: deque[float] = deque(maxlen=FAILURES)
        self._wait = 0.0
        #: Deaths over a first unit, since one was computed.
        self._over_units = 0

    def failed(self, now: float, ready_for: float, *, worked: bool = False, at_work: bool = False) -> float:
        """Seconds to wait before the next start.

        `ready_for`: seconds for which the worker that failed was ready; 0: it never was. `worked`: it had computed a
        unit. `at_work`: it died over one."""
        if worked or ready_for >= STEADY:
            # An accident, not a failed start: however many there are of them, the model can run.
            self.recovered()
            return 0.0
        if at_work and self._over_units < OVER_UNITS:
            # The unit may be to blame: one client's poison must not keep the model from the other clients.
            self._over_units += 1
            return 0.0
        self._failed.append(now)
        if self._wait == 0.0 and ready_for > 0:
            self._wait = BACKOFF_FIRST
            return 0.0
        wait = max(BACKOFF_FIRST, self._wait)
        self._wait = min(BACKOFF_LONGEST, wait * 2)
        # Half of it is random, so that workers that died together do not start together.
        return wait * (0.5 + self._rng.random() / 2)

    def hopeless(self, now: float) -> bool:
        """Whether the last `FAILURES` failed starts lie within `WINDOW` seconds."""
        return len(self._failed) == FAILURES and now - self._failed[0] <= WINDOW

    def recovered(self) -> None:
        """It ran well: earlier failures no longer count."""
        self._failed.clear()
        self._wait, self._over_units = 0.0, 0


class Supervisor:
    """Keeps one worker running. The pool runs `run` in a task."""

    def __init__(
        self, name: str, make: Callable[[str], WorkerProcess], recycling: Recycling, *, on_change: Callable[[], None]
    ) -> None:
        """`make` builds a worker of the given name. `on_change` is called when a worker came or went; never raises."""
        self.name, self._make, self._recycling, self._on_change = name, make, recycling, on_change
        #: The worker that gets the units, and its successor while that is being started.
        self.worker: WorkerProcess | None = None
        self.spare: WorkerProcess | None = None
        #: Starts after the first.
        self.restarts = 0
        self.recycled = 0
        #: Why the last worker failed, and what would help.
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
        """Whether its first worker has not been ready yet."""
        return not self._served and self.error is None

    def restart(self) -> None:
        """Replaces the worker as soon as it is between two units."""
        self._restart.set()

    async def run(self) -> None:
        """Keeps a worker running until it is cancelled; `stop` then ends the worker."""
        while True:
            wait = await self._run_one()
            await asyncio.sleep(wait)

    async def stop(self, grace: float) -> None:
        """Ends its workers, each after at most `grace` seconds for its units; `run` must have ended."""
        await asyncio.gather(*(worker.stop(grace) for worker in self.workers()))
        self.worker = self.spare = None
        self._stops += 1

    async def _run_one(self) -> float:
        """Runs workers until one ends without a successor; returns the seconds to wait before the next start."""
        worker = self.worker = self._next()
        ready_at: float | None = None
        try:
            await worker.start()
            ready_at = time.monotonic()
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
        return self._failed(worker, 0.0 if ready_at is None else time.monotonic() - ready_at)

    def _failed(self, worker: WorkerProcess, ready_for: float) -> float:
        now = time.monotonic()
        wait = self._backoff.failed(now, ready_for, worked=worker.units > 0, at_work=ready_for > 0 and worker.given > 0)
        self.error, self.hint = worker.reason, worker.hint
        self.hopeless = self._backoff.hopeless(now)
        if self.hopeless:
            wait = BACKOFF_LONGEST
        log.warning("worker ended", worker=worker.name, reason=worker.reason, again_in=round(wait, 1))
        self._on_change()
        return wait

    async def _serve(self, worker: WorkerProcess) -> WorkerProcess | None:
        """Watches a ready worker; returns its successor when it was recycled, None when it ended."""
        self._leak_detector = LeakDetector(self._recycling.leak)
        while worker.state == "ready" and worker.exit_reason is None:
            if self._worn(worker):
                return await self._recycle(worker)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await worker.wait()
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
        """Replaces a worker; with memory for both, its successor is ready first, so that no slot is lost."""
        log.info("recycling worker", worker=worker.name, units=worker.units, size=worker.size)
        self.recycled += 1
        if not (self._recycling.spare_first and memory.available() > worker.size_ready * 1.2):
            worker.accepting = False
            self._on_change()
            await worker.stop(worker.limits.unit_timeout)
            return None
        spare = self.spare = self._next()
        try:
            await spare.start()
        except errors.WorkerDied:
            # The old worker still serves: a worn worker is better than none.
            log.warning("the successor did not start", worker=spare.name, reason=spare.reason)
            self._recycling = Recycling(spare_first=self._recycling.spare_first)
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
