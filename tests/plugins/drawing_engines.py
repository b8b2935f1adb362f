"""An engine that draws without a model: bands whose colours are the seed's. Some prompts have it misbehave."""

from __future__ import annotations

import random
import struct
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Canvas, Capabilities, Chunk, Context, Phase

#: Seconds of a step of what is asked to be slow: longer than the time between two messages of progress.
STEP = 0.25


class Painter:
    def __init__(self, options: Mapping[str, Any]) -> None:
        return

    def load(self, phase: Phase) -> None:
        return

    def warm(self) -> None:
        return

    def capabilities(self) -> Capabilities:
        canvas = Canvas(size=(64, 64), least=64, most=256, multiple=16, steps=2)
        return Capabilities("image", 0, "1", options=("steps",), deterministic=True, canvas=canvas)

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        prompt, steps = params["prompt"], params["steps"] or 2
        if params["width"] < 16 or params["height"] < 16 or steps < 1:
            raise errors.UnitFailed("There is nothing to draw on")
        if prompt == "impossible":
            raise errors.UnitFailed("The paint has run out")
        for step in range(steps):
            if context.cancelled():
                return
            if prompt == "slow":
                time.sleep(STEP)
            context.progress((step + 1) / steps)
        yield Chunk(
            b"GIF89a" * 10 if prompt == "not a PNG" else bands(params["width"], params["height"], params["seed"])
        )

    def close(self) -> None:
        return


def bands(width: int, height: int, seed: int) -> bytes:
    """A PNG file (ISO 15948) of horizontal bands, 8 bits of red, green and blue."""
    chance = random.Random(seed)
    rows = b"".join(
        b"\0" + colour * width for colour in (chance.randbytes(3) for _ in range(height // 8)) for _ in range(8)
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
