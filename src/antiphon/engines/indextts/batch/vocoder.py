"""Vocoder: mels of any length as windows of one length, which share a batch with the windows of other rows.

A window's sound is wrong near its ends, where the vocoder reads beyond it: 19 frames at the published size. So windows
overlap, and are joined in the middle of the overlap. At a mel's own ends nothing is missing, since there the window
ends where the mel does: padding it would be wrong by a third.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch

#: Samples of a frame.
HOP = 256
#: Frames that neighbours share at least. With 48 the seam is exact, with 24 it is off by a thousandth.
OVERLAP = 48


@dataclass(frozen=True, slots=True)
class Window:
    """Frames `start` to `start + width` of a mel; of their sound, that of the frames `left` to `right` is kept."""

    start: int
    width: int
    left: int
    right: int


def windows(frames: int, width: int, overlap: int = OVERLAP) -> tuple[Window, ...]:
    """The fewest windows that cover a mel, evenly laid. A mel shorter than a window is one of its own length."""
    if frames <= width:
        return (Window(0, frames, 0, frames),)
    count = -(-(frames - overlap) // (width - overlap))
    starts = [round(n * (frames - width) / (count - 1)) for n in range(count)]
    seams = [0, *((a + width + b) // 2 for a, b in pairwise(starts)), frames]
    return tuple(Window(start, width, seams[n], seams[n + 1]) for n, start in enumerate(starts))


@dataclass(slots=True, eq=False)
class Sound:
    """A row: a mel, and as much of its sound as is computed."""

    #: [mels, frames]
    mel: Any
    width: int
    #: [frames × HOP] float32
    samples: Any = field(init=False)
    #: Windows that are still to be computed, the first one first.
    pending: list[Window] = field(init=False)

    def __post_init__(self) -> None:
        frames = int(self.mel.shape[1])
        self.samples = torch.empty(frames * HOP, device=self.mel.device)
        self.pending = list(windows(frames, self.width))

    @property
    def done(self) -> bool:
        return not self.pending


def take(sounds: Iterable[Sound], most: int) -> list[tuple[Sound, Window]]:
    """Windows for the next batch, at most that many, those of the first sound first.

    All have one width: a mel that is shorter than a window shares its batch only with those of its own length.
    """
    every = [(sound, window) for sound in sounds for window in sound.pending]
    return [pair for pair in every if pair[1].width == every[0][1].width][:most]


def in_bfloat16(model: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The vocoder with its convolutions in bfloat16, and its weights as they are."""

    def vocode_(mels: Any) -> Any:
        # No halved weights are kept for the next call: a recorded one would read them where they are no longer.
        with torch.autocast(mels.device.type, torch.bfloat16, cache_enabled=False):
            return model(mels)

    return vocode_


def vocode(model: Callable[[Any], Any], batch: list[tuple[Sound, Window]]) -> None:
    """Computes windows of one width; `model` makes [rows, 1, samples] of [rows, mels, frames]."""
    mels = torch.stack([sound.mel[:, window.start : window.start + window.width] for sound, window in batch])
    for (sound, window), samples in zip(batch, model(mels)[:, 0].float(), strict=True):
        first, last = (window.left - window.start) * HOP, (window.right - window.start) * HOP
        sound.samples[window.left * HOP : window.right * HOP] = samples[first:last]
        sound.pending.remove(window)
