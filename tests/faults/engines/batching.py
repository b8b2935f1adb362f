"""A small engine that computes its units in the same steps, and fails as their texts say."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from antiphon.domain.engine import Capabilities, Chunk, Emitted, Ended, Phase, Progressed
from antiphon.domain.unit import Wish

RATE = 8000
#: Steps that a unit takes, each of which gives a chunk.
STEPS = 4


class Batching:
    """Speaks: the text's length in each sample. A text that begins with a word below fails so.

    `refused` is not admitted, `failed` fails by itself, `raises` and `dies` end the process in a step, `hangs` never
    ends its step, `long` takes a hundred times the steps."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.units: dict[int, str] = {}
        self.left: dict[int, int] = {}
        self.most = 0

    def load(self, phase: Phase) -> None:
        phase("reading nothing")

    def warm(self) -> None:
        return

    def capabilities(self) -> Capabilities:
        slots, slow = int(self.options.get("slots", 64)), float(self.options.get("step_seconds", 0.0))
        return Capabilities("speech", RATE, "1", slots=slots, sharing="one", step_seconds=slow)

    def admit(self, unit: int, params: Mapping[str, Any], wish: Wish) -> None:
        text = params["text"]
        if text.startswith("refused"):
            raise ValueError("cannot take that")
        if wish.alone and self.units:
            raise RuntimeError("it is not alone")
        self.units[unit], self.left[unit] = text, STEPS * (100 if text.startswith("long") else 1)
        self.most = max(self.most, len(self.units))

    def cancel(self, unit: int) -> None:
        del self.units[unit], self.left[unit]

    def step(self) -> Sequence[Emitted | Progressed | Ended]:
        time.sleep(float(self.options.get("step", 0.002)))
        for text in self.units.values():
            if text.startswith("raises"):
                raise RuntimeError("the step failed")
            if text.startswith("dies"):
                os._exit(9)
            while text.startswith("hangs"):
                time.sleep(0.1)
        told: list[Emitted | Progressed | Ended] = []
        seconds = 0.001 / len(self.units)
        for unit, text in [*self.units.items()]:
            self.left[unit] -= 1
            if text.startswith("failed"):
                told.append(Ended(unit, seconds, ValueError("cannot say that")))
            else:
                told.append(Emitted(unit, Chunk(len(text).to_bytes(2, "little") * 100, {"most": self.most})))
                if self.left[unit]:
                    told.append(Progressed(unit, 1 - self.left[unit] / (100 * STEPS)))
                    continue
                told.append(Ended(unit, seconds))
            self.cancel(unit)
        return told

    def suspects(self) -> frozenset[int]:
        return frozenset(self.units)

    def close(self) -> None:
        return
