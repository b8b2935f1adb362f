"""The executor: where units run, the contract that local processes and workers on a cluster both keep."""

from __future__ import annotations

from typing import Protocol

from antiphon.domain.unit import OnChunk, Unit, UnitResult


class Executor(Protocol):
    """All slots of one model. A slot is reserved before it is used, so a dispatcher can hand out units in a plain loop
    and never more than there are slots for."""

    @property
    def slots(self) -> int:
        """Slots of workers that are ready, free or not."""

    @property
    def parallel(self) -> int:
        """Seconds of units' prices that are worked off in a second: as many as slots, or, where the slots of a worker
        share a device, as workers."""

    @property
    def free(self) -> int:
        """Slots that are not reserved."""

    def reserve(self) -> bool:
        """Takes a free slot; False if there is none. Each reservation is spent by `run` or given back."""

    def unreserve(self) -> None:
        """Gives a reserved slot back."""

    async def run(self, unit: Unit, *, on_chunk: OnChunk | None = None) -> UnitResult:
        """Runs a unit on the reserved slot, and frees it. Raises `UnitFailed`, `WorkerDied` or `Cancelled`.

        `on_chunk` is called with the parts of a live unit as they come, in order; together they are the beginning of
        the payload of its result. It must not raise."""

    def cancel(self, unit_id: str) -> None:
        """Asks the worker to drop the unit; after a grace period the worker is killed. Unknown ids are ignored."""
