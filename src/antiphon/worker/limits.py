"""The limits of a worker: how long it may be silent or busy, and when it is replaced."""

from __future__ import annotations

from dataclasses import dataclass, replace

from antiphon.domain.engine import Capabilities

#: Seconds that a worker has after a step to drop a cancelled unit.
GRACE_AFTER_STEP = 5.0


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """Beyond these a worker is killed. Seconds, unless said otherwise."""

    #: Silence of a worker that is ready.
    heartbeat_timeout: float = 10.0
    #: Silence until it is ready: importing a large library can hold the interpreter for long.
    start_silence: float = 60.0
    #: From the start of the process until it is ready.
    load_timeout: float = 900.0
    unit_timeout: float = 300.0
    #: A step of a batching engine. The first of a size may compile or capture something.
    step_timeout: float = 30.0
    #: From a cancel until the worker must have dropped the unit.
    cancel_grace: float = 2.0
    #: Bytes of one unit's result.
    max_result: int = 256 * 1024 * 1024

    def of(self, can: Capabilities) -> WorkerLimits:
        """Those of an engine. Where units share steps, a cancelled one is dropped when the step ends, and each takes as
        long as all that are with it; a step that hangs is noticed all the same."""
        if can.sharing == "own":
            return self
        step = can.step_seconds or self.step_timeout
        return replace(
            self,
            step_timeout=step,
            unit_timeout=self.unit_timeout * can.slots,
            cancel_grace=max(self.cancel_grace, step + GRACE_AFTER_STEP),
        )


@dataclass(frozen=True, slots=True)
class Recycling:
    """When a worker is replaced between two units; 0: never for that reason."""

    #: Units that it has computed.
    units: int = 0
    #: Bytes, main memory and GPU together, that it grew since it was ready.
    growth: int = 0
    #: Bytes of steady growth, unit after unit, that count as a leak.
    leak: int = 0
    #: Whether its successor is started before it ends, if the memory has room for both.
    spare_first: bool = True
