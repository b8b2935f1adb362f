"""Interrupt: checks for a cancel before every step of a model's stages, and tells how far the unit is.

A step comes every few milliseconds. The server kills a worker that does not drop a cancelled unit within the grace, and
the next one has to load gigabytes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from antiphon.domain.engine import Context

#: Share of a piece's time that the stages take: codes, flow, vocoder.
SHARES = (0.5, 0.4, 0.1)


class Interrupted(Exception):
    """The unit was cancelled while the model computed it."""


class Interrupt:
    """Hooks into the forward pass of a module for each stage."""

    def __init__(self, codes: Any, flow: Any, vocoder: Any) -> None:
        self._context: Context | None = None
        #: The thread that computes the unit; what another one computes meanwhile is none of its steps.
        self._thread = 0
        #: Steps of each stage that the piece took, and will take; the part of the unit that it is.
        self._taken, self._expected = [0, 0, 0], (1.0, 1.0, 1.0)
        self._part = (0.0, 1.0)
        self._told = 0.0
        for stage, module in enumerate((codes, flow, vocoder)):
            module.register_forward_pre_hook(partial(self._check, stage))

    @contextmanager
    def watching(self, context: Context) -> Iterator[None]:
        """Inside the block the next step after a cancel raises `Interrupted`."""
        self._context, self._told, self._thread = context, 0.0, threading.get_ident()
        self.begin((1.0, 1.0), (0.0, 1.0))
        try:
            yield
        finally:
            self._context = None

    def begin(self, expected: tuple[float, float], part: tuple[float, float]) -> None:
        """A piece begins: `expected` codes and steps of the flow, about; `part` of the unit, from and to."""
        self._taken, self._expected, self._part = [0, 0, 0], (*expected, 1.0), part

    def _check(self, stage: int, *_: object) -> None:
        if self._context is None or self._thread != threading.get_ident():
            return
        if self._context.cancelled():
            raise Interrupted
        self._taken[stage] += 1
        done = sum(SHARES[:stage]) + SHARES[stage] * min(1.0, self._taken[stage] / self._expected[stage])
        start, end = self._part
        # A piece that is said again tells nothing until it is further than before.
        if (fraction := start + (end - start) * min(1.0, done)) > self._told:
            self._told = fraction
            self._context.progress(fraction)
