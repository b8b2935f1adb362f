"""An engine that says its text word by word, and waits or dies after some of them as the text says."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from antiphon.domain.engine import Capabilities, Chunk, Context, Phase

RATE = 16000
#: Samples of a word.
WORD = 1600


def sound(word: str) -> bytes:
    """What is heard of a word: its letters, over and over."""
    letters = [sum(word.encode()) % 251 + 1, len(word)]
    return b"".join(letter.to_bytes(2, "little") for letter in letters) * (WORD // 2)


class Gradual:
    """Before a word `wait` it waits until the folder `marks` has a file `go`; at a word `die` it dies, once."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.marks = Path(os.environ["GRADUAL_MARKS"])

    def load(self, phase: Phase) -> None:
        return

    def warm(self) -> None:
        return

    def capabilities(self) -> Capabilities:
        return Capabilities("speech", RATE, "gradual-1", languages=("en",))

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        for word in params["text"].split():
            if word.startswith("wait"):
                while not (self.marks / "go").exists() and not context.cancelled():
                    time.sleep(0.005)
            if word.startswith("die") and not (self.marks / "died").exists():
                (self.marks / "died").touch()
                os._exit(9)
            yield Chunk(sound(word))

    def close(self) -> None:
        return
