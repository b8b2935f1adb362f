"""A batching engine whose sound says whether somebody waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from antiphon.domain.engine import Capabilities, Chunk, Emitted, Ended, Phase
from antiphon.domain.unit import Wish

RATE = 16000


def sound(live: bool) -> bytes:
    return (2000 if live else 1000).to_bytes(2, "little") * RATE


class Wishing:
    def __init__(self, options: Mapping[str, Any]) -> None:
        self.live: dict[int, bool] = {}

    def load(self, phase: Phase) -> None:
        return

    def warm(self) -> None:
        return

    def capabilities(self) -> Capabilities:
        return Capabilities("speech", RATE, "wishing-1", languages=("en",), slots=8, sharing="one")

    def admit(self, unit: int, params: Mapping[str, Any], wish: Wish) -> None:
        self.live[unit] = wish.live

    def cancel(self, unit: int) -> None:
        del self.live[unit]

    def step(self) -> Sequence[Emitted | Ended]:
        told = [
            each for unit, live in self.live.items() for each in (Emitted(unit, Chunk(sound(live))), Ended(unit, 0.01))
        ]
        self.live.clear()
        return told

    def suspects(self) -> frozenset[int]:
        return frozenset(self.live)

    def close(self) -> None:
        return
