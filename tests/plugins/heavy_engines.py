"""Engines that hold much memory, as models do."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from antiphon.domain.engine import Capabilities, Chunk, Context, Phase, Voice

RATE = 16_000
BALLAST = 100 * 1024 * 1024


class Heavy:
    def __init__(self, options: Mapping[str, Any]) -> None:
        return

    def load(self, phase: Phase) -> None:
        phase("reading weights")
        self.weights = random.randbytes(BALLAST)

    def warm(self) -> None:
        return

    def capabilities(self) -> Capabilities:
        return Capabilities("speech", RATE, "1", voices=(Voice("v", "V", ("en",)),), default_voice="v")

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        yield Chunk(b"\x10\x20" * RATE)

    def close(self) -> None:
        return
