"""Draws: a row's random numbers, which depend on its seed alone.

Both packages draw from torch's one global generator, so what a segment sounds like depends on what was drawn before it.
Here every row has its own numbers, drawn on the CPU: they are the same in any batch, in any order and on any device.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch


def uniforms(seed: int, count: int) -> Any:
    """[count] float32 in [0, 1): one for each code that the row may draw."""
    return torch.rand(count, generator=_generator(seed, "codes"))


def noise(seed: int, channels: int, frames: int) -> Any:
    """[channels, frames] float32, normally distributed: what the flow starts from.

    Drawn frame by frame, so a longer draw begins with the shorter one. That holds for a multiple of 16 channels, since
    torch fills 16 numbers at a time.
    """
    drawn = torch.randn(frames, channels, generator=_generator(seed, "noise"))
    return drawn.T.contiguous()


def _generator(seed: int, purpose: str) -> Any:
    digest = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
