"""An engine of a kind of its own: it reverses words. The word `wait` takes until the file that REVERSING_GATE names."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from antiphon.domain.engine import Capabilities, Chunk, Context, Phase


class Reverser:
    def __init__(self, options: Mapping[str, Any]) -> None:
        return

    def load(self, phase: Phase) -> None:
        return

    def warm(self) -> None:
        return

    def capabilities(self) -> Capabilities:
        return Capabilities("reversal", 0, "1", deterministic=True)

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        word = params["word"]
        gate = Path(os.environ["REVERSING_GATE"])
        while word == "wait" and not gate.exists() and not context.cancelled():
            time.sleep(0.01)
        yield Chunk(word[::-1].encode())

    def close(self) -> None:
        return
