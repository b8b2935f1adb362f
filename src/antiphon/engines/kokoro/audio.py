"""Audio: 16-bit PCM of Kokoro's samples, with silence trimmed and edges faded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from antiphon.engines import trimming
from antiphon.engines.trimming import JOIN, TAIL

__all__ = ["JOIN", "RATE", "TAIL", "gradual", "pcm", "silence"]

#: Hz.
RATE = 24000


def pcm(audio: Any, *, tail: float = TAIL) -> bytes:
    return trimming.pcm(audio, RATE, tail=tail)


def gradual(parts: Iterable[tuple[Any, bool]], *, tail: float = TAIL) -> Iterator[bytes]:
    return trimming.gradual(parts, RATE, tail=tail)


def silence(seconds: float) -> bytes:
    return trimming.silence(seconds, RATE)
