"""(Being written.)"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    text: str
    pause: float = 0.0
    rate: float = 1.0


def has_markup(text: str, ssml: bool | None = None) -> bool:
    return False


def parse(text: str, *, ssml: bool | None = None) -> list[Span]:
    return [Span(text)]
