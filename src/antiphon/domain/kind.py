"""Kind traits: what schedule, models and store need to know of a kind of work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from antiphon.domain.engine import Capabilities
from antiphon.domain.job import Kind
from antiphon.domain.unit import UnitResult


@dataclass(frozen=True, slots=True)
class KindTraits:
    """Properties that all work of a kind shares."""

    name: Kind
    #: The unit of length, such as characters; the cost model learns seconds per unit of length.
    length_unit: str
    #: Length of a typical unit; its predicted seconds are the price level of a model.
    reference_length: float
    #: Why an engine's result is malformed, by its capabilities; None if it is not. All further steps rely on it.
    check_result: Callable[[Capabilities, UnitResult], str | None]
    #: Whether the work takes or gives audio, so that its engines must state a sample rate.
    audio: bool = True
    #: Whether a job goes on without a unit for which the model has nothing to say (`NothingToSay`).
    skips: bool = False

    def problem(self, capabilities: Capabilities) -> str | None:
        """What is wrong with the capabilities of an engine of this kind; None if nothing is."""
        if self.audio and not capabilities.sample_rate:
            return f"an engine for {self.name} must say its sample_rate"
        return None
