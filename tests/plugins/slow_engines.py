"""An engine that loads for as long as a test wants."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from antiphon.domain.engine import Capabilities, Chunk, Context, Phase, Voice

RATE = 16_000
#: Names the file whose being there opens the gate. What is written in it is the name of the one voice.
GATE = "GATED_ENGINE_GATE"


class Gated:
    def __init__(self, options: Mapping[str, Any]) -> None:
        self._gate = Path(os.environ[GATE])

    def load(self, phase: Phase) -> None:
        phase("waiting at the gate")
        while not self._gate.exists():
            time.sleep(0.01)

    def warm(self) -> None:
        return

    def capabilities(self) -> Capabilities:
        voice = self._gate.read_text()
        return Capabilities("speech", RATE, "1", voices=(Voice(voice, voice, ("en",)),), default_voice=voice)

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        yield Chunk(b"\x10\x20" * RATE)

    def close(self) -> None:
        return
