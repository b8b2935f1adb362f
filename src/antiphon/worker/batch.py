"""Batch: drives an engine that computes many units in the same steps, in the main thread of a worker process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from antiphon.domain import errors
from antiphon.domain.engine import BatchEngine, Capabilities, Context, Emitted, Ended, Progressed
from antiphon.domain.unit import Wish
from antiphon.worker import frames


class Host(Protocol):
    """The worker process around it."""

    #: The steps so far, which heartbeats tell: a step that hangs is noticed by them.
    steps: int | None

    def next_message(self, *, wait: bool) -> frames.Load | frames.Run | frames.Stop | None: ...
    def cancelled(self, unit: int) -> bool: ...
    def answered(self, unit: int) -> None: ...
    def context(self, unit: int) -> Context: ...
    def send(self, message: frames.Message, payload: bytes | memoryview = b"") -> None: ...
    def fail(self, unit: int, error: Exception) -> None: ...
    def fail_step(self, error: Exception, suspects: frozenset[int]) -> NoReturn: ...


@dataclass(frozen=True, slots=True)
class _Admitted:
    #: What the engine has said about the unit's chunks.
    meta: dict[str, Any]
    context: Context


class Batch:
    """Admits what has come, drops what was cancelled, computes a step; and again."""

    def __init__(self, child: Host, engine: BatchEngine, can: Capabilities) -> None:
        self._child, self._engine = child, engine
        self._first_meta: dict[str, Any] = {"sample_rate": can.sample_rate} if can.kind == "speech" else {}
        self._units: dict[int, _Admitted] = {}
        self._stopping = False
        child.steps = 0

    def serve(self) -> None:
        """Returns when the server said so and nothing is left to do."""
        while self._units or not self._stopping:
            self._admit()
            try:
                self._cancel()
                events = self._engine.step() if self._units else ()
            except Exception as e:
                # After a failed step no unit's state can be trusted.
                self._child.fail_step(e, self._engine.suspects() & self._units.keys() or frozenset(self._units))
            if self._units:
                self._child.steps = (self._child.steps or 0) + 1
            for event in events:
                self._tell(event)

    def _admit(self) -> None:
        """Takes every message that is there; waits for one while there is nothing to compute."""
        while not self._stopping:
            message = self._child.next_message(wait=not self._units)
            if message is None:
                return
            if not isinstance(message, frames.Run):
                self._stopping = True
                return
            try:
                self._engine.admit(message.unit, message.params, Wish(message.live, message.alone))
            except Exception as e:
                self._child.fail(message.unit, e)
                self._child.answered(message.unit)
            else:
                self._units[message.unit] = _Admitted(dict(self._first_meta), self._child.context(message.unit))

    def _cancel(self) -> None:
        for unit in [unit for unit in self._units if self._child.cancelled(unit)]:
            self._engine.cancel(unit)
            self._end(unit, errors.Cancelled())

    def _tell(self, event: Emitted | Progressed | Ended) -> None:
        if (unit := self._units.get(event.unit)) is None:
            return
        if isinstance(event, Progressed):
            unit.context.progress(event.fraction)
            return
        if isinstance(event, Ended):
            if event.error is None:
                self._child.send(frames.Done(event.unit, event.seconds, unit.meta))
                self._end(event.unit)
            else:
                self._end(event.unit, event.error)
            return
        try:
            for piece in frames.pieces(event.chunk):
                self._child.send(frames.Chunk(event.unit), piece)
        except TypeError as e:
            self._engine.cancel(event.unit)
            self._end(event.unit, e)
        else:
            unit.meta.update(event.chunk.meta)

    def _end(self, unit: int, error: Exception | None = None) -> None:
        if error is not None:
            self._child.fail(unit, error)
        del self._units[unit]
        self._child.answered(unit)
