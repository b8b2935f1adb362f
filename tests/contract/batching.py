"""A batching engine that keeps the contract: the tone engine, a part of each unit in every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from antiphon.domain.engine import Capabilities, Chunk, Emitted, Ended
from antiphon.domain.unit import Wish
from antiphon.engines.tone import Tone


class Unasked:
    """The context of a unit of an engine that is told to cancel by a call."""

    def cancelled(self) -> bool:
        return False

    def progress(self, fraction: float) -> None:
        return


class BatchingTone:
    def __init__(self, options: Mapping[str, Any]) -> None:
        self._tone = Tone(options)
        self._units: dict[int, Iterator[Chunk]] = {}
        self.load, self.warm, self.close = self._tone.load, self._tone.warm, self._tone.close

    def capabilities(self) -> Capabilities:
        return replace(self._tone.capabilities(), slots=8, sharing="one")

    def admit(self, unit: int, params: Mapping[str, Any], wish: Wish) -> None:
        self._units[unit] = iter(self._tone.run(params, Unasked()))

    def cancel(self, unit: int) -> None:
        del self._units[unit]

    def step(self) -> Sequence[Emitted | Ended]:
        told: list[Emitted | Ended] = []
        for unit, chunks in [*self._units.items()]:
            try:
                told.append(Emitted(unit, next(chunks)))
            except StopIteration:
                told.append(Ended(unit, 0.001))
                self.cancel(unit)
            except Exception as e:
                told.append(Ended(unit, 0.001, e))
                self.cancel(unit)
        return told

    def suspects(self) -> frozenset[int]:
        return frozenset(self._units)
