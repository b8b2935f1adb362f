"""Solo: units that the package computes by itself, between the steps of those that share theirs.

A search with beams is left to the package: it follows several continuations of one text at a time, and a batch has one
for each text. Such a unit runs in a thread of its own, which has its turn for one pass through a module and then waits.
So one thread at a time computes, and the steps of the others come in between.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from antiphon.domain.engine import Chunk, Context, Emitted, Ended, Progressed

#: Speaks a unit with a context whose `cancelled` is asked before every pass.
Run = Callable[[Context], Iterator[Chunk]]


class Turns:
    """The context of a unit that computes when it is its turn."""

    def __init__(self) -> None:
        self._go, self._came = threading.Semaphore(0), threading.Semaphore(0)
        self._cancelled = False
        #: How far the unit is, 0 to 1, and what was told of it.
        self.fraction, self.told = 0.0, 0.0

    # For the unit's thread

    def cancelled(self) -> bool:
        self.wait()
        return self._cancelled

    def progress(self, fraction: float) -> None:
        self.fraction = fraction

    def begin(self) -> None:
        self._go.acquire()

    def wait(self) -> None:
        """Ends the turn, and waits for the next one."""
        self._came.release()
        self._go.acquire()

    def end(self) -> None:
        self._came.release()

    # For whoever drives it

    def take(self) -> None:
        """Returns when the unit has had its turn."""
        self._go.release()
        self._came.acquire()

    def cancel(self) -> None:
        self._cancelled = True


@dataclass(slots=True)
class _Unit:
    number: int
    run: Run
    turns: Turns
    thread: threading.Thread | None = None
    seconds: float = 0.0
    error: Exception | None = None
    done: bool = False
    cancelled: bool = False


class Soloists:
    """One after the other, since the package keeps what it works on in the model."""

    def __init__(self, prepare: Callable[[], None]) -> None:
        """`prepare` is called first in each unit's thread."""
        self._prepare = prepare
        self._units: deque[_Unit] = deque()
        self._chunks: deque[Chunk] = deque()

    def __len__(self) -> int:
        return len(self._units)

    @property
    def current(self) -> int:
        """The unit whose turn is next."""
        return self._units[0].number

    def admit(self, number: int, run: Run) -> None:
        self._units.append(_Unit(number, run, Turns()))

    def cancel(self, number: int) -> None:
        """A unit that has begun is gone after its next turn."""
        for unit in [unit for unit in self._units if unit.number == number]:
            if unit.thread is None:
                self._units.remove(unit)
            else:
                unit.cancelled = True
                unit.turns.cancel()

    def step(self) -> list[Emitted | Progressed | Ended]:
        """One turn of the first unit. Raises what is no fault of that unit alone."""
        unit = self._units[0]
        began = time.perf_counter()
        if unit.thread is None:
            unit.thread = threading.Thread(target=self._compute, args=(unit,), name="solo", daemon=True)
            unit.thread.start()
        unit.turns.take()
        unit.seconds += time.perf_counter() - began
        events: list[Emitted | Progressed | Ended] = []
        while self._chunks:
            events.append(Emitted(unit.number, self._chunks.popleft()))
        if unit.turns.fraction > unit.turns.told:
            unit.turns.told = unit.turns.fraction
            events.append(Progressed(unit.number, unit.turns.fraction))
        if unit.done:
            unit.thread.join()
            self._units.popleft()
            events.append(Ended(unit.number, unit.seconds, unit.error))
        return [] if unit.cancelled else events

    def _compute(self, unit: _Unit) -> None:
        try:
            unit.turns.begin()
            self._prepare()
            for chunk in unit.run(unit.turns):
                self._chunks.append(chunk)
        except Exception as e:
            unit.error = e
        finally:
            unit.done = True
            unit.turns.end()
