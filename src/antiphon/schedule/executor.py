"""Where units are run: the contract that local worker processes and remote actors both keep."""

from __future__ import annotations

from typing import Protocol

from antiphon.domain.unit import Unit, UnitResult


class Executor(Protocol):
    """All slots of one model. Slots are reserved before they are used, so that a dispatcher can hand out units
    in a plain loop and never more than fit."""

    @property
    def slots(self) -> int:
        """Slots of workers that are ready, free or not."""
        ...

    @property
    def free(self) -> int:
        """Slots that nobody reserved."""
        ...

    def reserve(self) -> bool:
        """Takes a free slot; False if there is none. Each reservation is spent by `run` or given back."""
        ...

    def unreserve(self) -> None: ...

    async def run(self, unit: Unit) -> UnitResult:
        """Runs a unit on the reserved slot. Raises `UnitFailed`, `WorkerDied` or `Cancelled`; frees the slot."""
        ...

    def cancel(self, unit_id: str) -> None:
        """Asks the worker to drop the unit; after a grace period the worker is killed. Unknown ids are ignored."""
        ...
