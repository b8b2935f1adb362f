"""Kind traits: what the lower rooms have to know of a kind of work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from antiphon.domain.engine import Capabilities
from antiphon.domain.job import Kind
from antiphon.domain.unit import UnitResult


@dataclass(frozen=True, slots=True)
class KindTraits:
    name: Kind
    #: What the length of a unit counts, such as characters; the cost model learns seconds per that.
    length_unit: str
    #: Length of an ordinary unit. Its predicted seconds are the level by which prices are compared.
    reference_length: float
    #: Why an engine's result is not what this kind of work gives; None: it is. The rest of the server relies on it.
    check_result: Callable[[Capabilities, UnitResult], str | None]
    #: Whether audio goes in or comes out, so that an engine has to say its sample rate.
    audio: bool = True

    def problem(self, capabilities: Capabilities) -> str | None:
        """What is wrong with the capabilities of an engine of this kind; None: nothing."""
        if self.audio and not capabilities.sample_rate:
            return f"an engine for {self.name} must say its sample_rate"
        return None
