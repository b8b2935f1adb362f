"""What a worker holds, how long it may, and how its end is told to those who wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from antiphon.domain import errors
from antiphon.domain.unit import Unit, UnitResult


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """How long a worker may be silent or busy. Seconds, unless said otherwise."""

    heartbeat_timeout: float = 10.0
    #: Silence allowed until it is ready: importing a large library can hold the interpreter for long.
    start_silence: float = 60.0
    #: From the start of the process until it is ready.
    load_timeout: float = 900.0
    unit_timeout: float = 300.0
    #: From a cancel until the unit must be dropped.
    cancel_grace: float = 2.0
    #: Bytes of one unit's result.
    max_result: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ExitReason:
    """Why a worker ended."""

    reason: str
    #: Whether it failed; False for an end that was asked for.
    fault: bool
    #: Serials of the units that are to blame; None: all that it held.
    blame: frozenset[int] | None = None


#: Nobody is to blame.
NO_BLAME: frozenset[int] = frozenset()


@dataclass(slots=True)
class InFlightUnit:
    """A unit that the worker has and has not answered."""

    unit: Unit
    future: asyncio.Future[UnitResult]
    #: Monotonic seconds.
    since: float
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    progress: float = 0.0
    #: Whether the worker was told of it.
    sent: bool = False
    #: When the worker is killed if it has not dropped the unit; None: the unit is wanted.
    cancel_by: float | None = None

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def succeed(self, result: UnitResult) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def error_at_end(self, serial: int, worker: str, exit_reason: ExitReason) -> errors.AntiphonError:
        """What the one who waits for this unit is told when the worker ends."""
        if self.cancel_by is not None:
            return errors.Cancelled()
        if exit_reason.blame is not None and serial not in exit_reason.blame:
            return errors.Displaced(f"worker {worker} ended, but not because of this segment: {exit_reason.reason}")
        return errors.WorkerDied(f"worker {worker} died over this segment: {exit_reason.reason}")


_KNOWN = {kind.code: kind for kind in (errors.Cancelled, errors.InvalidText, errors.UnknownVoice, errors.UnitFailed)}


def error_of(code: str, message: str) -> errors.AntiphonError:
    """What an engine raised in the worker, as the same kind of error on this side."""
    return _KNOWN.get(code, errors.UnitFailed)(message)
