"""Landscapes from above, by a consistency model that needs one step: what it makes is heights, painted here as a map.

Of the prompt it understands how rugged the land is to be: a number from 1 to 100, or words such as plains or mountains.
"""

from __future__ import annotations

import importlib.metadata
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Canvas, Capabilities, Chunk, Context, Phase

#: Ruggedness by word; the mean of all that the prompt has.
WORDS = {
    "flat": 3, "plain": 8, "plains": 8, "meadow": 12, "desert": 20, "gentle": 20, "dunes": 28, "hills": 40, "hilly": 40,
    "valley": 55, "canyon": 75, "rugged": 80, "mountain": 88, "mountains": 88, "alps": 95, "wild": 95,
}  # fmt: skip
#: Ruggedness of a prompt that says nothing of it.
USUAL = 60
#: Colours of a map by height, lowest first: meadow, forest, heath, rock, snow.
COLOURS = ((118, 157, 92), (74, 121, 71), (150, 139, 98), (128, 118, 110), (247, 248, 250))
CANVAS = Canvas(size=(256, 256), least=64, most=1024, multiple=8, steps=1)


class Terrain:
    def __init__(self, options: Mapping[str, Any]) -> None:
        return

    def load(self, phase: Phase) -> None:
        phase("reading weights")
        from terrain_diffusion.generator import TerrainGenerator

        self._generator = TerrainGenerator(device="cpu")

    def warm(self) -> None:
        self._generator.generate(1, shape=64, difficulty=USUAL, seed=0)

    def capabilities(self) -> Capabilities:
        return Capabilities(
            kind="image",
            sample_rate=0,
            revision="1-" + importlib.metadata.version("adaptive-terrain-diffusion"),
            deterministic=True,
            canvas=CANVAS,
            footprint=500 * 1024 * 1024,
            licence="MIT",
            attribution="Youwei Yu, Adaptive Diffusion Terrain; consistency models by OpenAI",
        )

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        width, height, seed = params["width"], params["height"], params["seed"]
        if not all(CANVAS.least <= side <= CANVAS.most for side in (width, height)):
            raise errors.UnitFailed(f"Terrain draws sides of {CANVAS.least} to {CANVAS.most} pixels")
        rugged = ruggedness(params["prompt"])
        # One view made larger: views side by side do not fit together. At its border the model is not to be trusted.
        edge = (height // 16, width // 16)
        whole = (height + 2 * edge[0], width + 2 * edge[1])
        heights = self._generator.generate(1, shape=whole, difficulty=rugged, seed=seed, size_mode="resize")[0]
        pixels = painted(heights[edge[0] : edge[0] + height, edge[1] : edge[1] + width], rugged)
        if not context.cancelled():
            yield Chunk(png(pixels), {"width": width, "height": height, "seed": seed})

    def close(self) -> None:
        return


def ruggedness(prompt: str) -> int:
    """1 to 100."""
    number = re.search(r"\b([1-9][0-9]?|100)\b", prompt)
    if number is not None:
        return int(number[1])
    found = [WORDS[word] for word in re.findall(r"[a-z]+", prompt.lower()) if word in WORDS]
    return round(sum(found) / len(found)) if found else USUAL


def painted(heights: Any, rugged: int) -> Any:
    """Heights as rows of red, green and blue, lit from the north-west. Each map uses its own range of heights, of which
    the colours of rock and snow are for rugged land only."""
    import numpy as np

    low, high = np.percentile(heights, (1, 99))
    level = np.clip((heights - low) / max(high - low, 1e-6), 0.0, 1.0) * (0.2 + 0.8 * rugged / 100)
    stops = np.linspace(0.0, 1.0, len(COLOURS))
    colour = np.stack([np.interp(level, stops, [c[band] for c in COLOURS]) for band in range(3)], axis=-1)
    down, right = np.gradient(heights)
    steep = max(float(np.percentile(np.hypot(right, down), 98)), 1e-6)
    down, right = down / steep, right / steep
    light = (1.0 + 0.7 * (right + down)) / np.sqrt(1.0 + right**2 + down**2)
    return np.clip(colour * (0.45 + 0.55 * np.clip(light, 0.0, 1.4))[..., None], 0, 255).astype(np.uint8)


def png(pixels: Any) -> bytes:
    """A PNG file (ISO 15948) of 8 bits of red, green and blue."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
