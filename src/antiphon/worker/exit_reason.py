"""An exit reason: why a worker ended, and which of its units caused it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExitReason:
    """Why a worker ended."""

    reason: str
    #: Whether it failed; False for an end that was asked for.
    fault: bool
    #: Serial numbers of the units that caused it; None: all that were in flight.
    blame: frozenset[int] | None = None


#: No unit caused it.
NO_BLAME: frozenset[int] = frozenset()
