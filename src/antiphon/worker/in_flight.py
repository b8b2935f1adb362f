"""Units in flight: what a worker was given and has not answered, and how each of them ends."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from antiphon.domain import errors
from antiphon.domain.unit import OnChunk, Unit, UnitResult
from antiphon.worker.exit_reason import NO_BLAME, ExitReason
from antiphon.worker.limits import WorkerLimits


@dataclass(slots=True, eq=False)
class InFlightUnit:
    """One unit in flight."""

    #: Its number in this worker.
    serial: int
    unit: Unit
    future: asyncio.Future[UnitResult]
    #: Monotonic seconds.
    since: float
    #: The chunks of its result so far, and their bytes.
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    #: Called with each chunk of a live unit as it comes.
    on_chunk: OnChunk | None = None
    #: Whether the worker has its frame.
    sent: bool = False
    #: Monotonic seconds at which the worker is killed unless it has dropped the unit; None: it was not cancelled.
    cancel_by: float | None = None

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def succeed(self, result: UnitResult) -> None:
        if not self.future.done():
            self.future.set_result(result)


class UnitsInFlight:
    """The units of one worker, by serial number."""

    def __init__(self) -> None:
        self._units: dict[int, InFlightUnit] = {}
        self._serials = itertools.count(1)
        self._removed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._units)

    def __iter__(self) -> Iterator[InFlightUnit]:
        return iter(tuple(self._units.values()))

    def __contains__(self, unit: InFlightUnit) -> bool:
        return unit.serial in self._units

    def get(self, serial: int) -> InFlightUnit | None:
        return self._units.get(serial)

    def next_serial(self) -> int:
        """A number that no other unit of this worker has, so that a second attempt is never taken for the first."""
        return next(self._serials)

    def add(self, serial: int, unit: Unit, now: float) -> InFlightUnit:
        added = self._units[serial] = InFlightUnit(serial, unit, asyncio.get_running_loop().create_future(), now)
        return added

    def remove(self, serial: int) -> InFlightUnit | None:
        """Takes a unit out; None if it is not in flight. The caller ends its future."""
        removed = self._units.pop(serial, None)
        self._removed.set()
        return removed

    async def wait_until_empty(self, *, but: int | None = None) -> None:
        """Returns when no unit is in flight, or only the one with the serial number `but`."""
        while self._units.keys() - {but}:
            self._removed.clear()
            await self._removed.wait()

    def expired(self, now: float, limits: WorkerLimits) -> ExitReason | None:
        """Why the worker must be killed for a unit that takes too long; None if none does."""
        for serial, each in self._units.items():
            if each.cancel_by is not None:
                if now >= each.cancel_by:
                    reason = f"a cancelled unit was not dropped in {limits.cancel_grace:g} s"
                    return ExitReason(reason, fault=False, blame=NO_BLAME)
            elif now - each.since > limits.unit_timeout:
                return ExitReason(f"a unit took longer than {limits.unit_timeout:g} s", True, frozenset({serial}))
        return None

    def fail_all(self, worker: str, exit_reason: ExitReason, *, sharing: bool = False) -> None:
        """The worker ended: tells those who wait for its units, each with the error that fits its unit.

        `sharing`: the units were computed in the same steps, so that any of them may be to blame."""
        blamed = exit_reason.blame
        if blamed is None:
            blamed = frozenset(each.serial for each in self if each.sent and each.cancel_by is None)
        for each in self:
            if each.cancel_by is not None:
                error: errors.AntiphonError = errors.Cancelled()
            elif each.serial not in blamed:
                why = f"worker {worker} ended, but not because of this segment: {exit_reason.reason}"
                error = errors.Displaced(why)
            elif sharing and len(blamed) > 1:
                why = f"worker {worker} died over this segment or one of {len(blamed) - 1} beside it"
                error = errors.Suspected(f"{why}: {exit_reason.reason}")
            else:
                error = errors.WorkerDied(f"worker {worker} died over this segment: {exit_reason.reason}")
            each.fail(error)
        self._units.clear()
        self._removed.set()


_KNOWN = {
    kind.code: kind
    for kind in (
        errors.Cancelled, errors.InvalidRequest, errors.InvalidText, errors.NothingToSay, errors.UnknownVoice,
        errors.UnsupportedLanguage, errors.UnitFailed,
    )
}  # fmt: skip


def error_of(code: str, message: str) -> errors.AntiphonError:
    """The error that an engine raised in the worker, as the same type on this side."""
    return _KNOWN.get(code, errors.UnitFailed)(message)
