"""Cancelling inside a model: looked for before every step of its stages, which is every few milliseconds.

A worker that does not drop a cancelled unit within the grace is killed, and a model of several gigabytes would then be
loaded anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from antiphon.domain.engine import Context


class Interrupted(Exception):
    """Nobody wants the unit any more."""


class Interrupt:
    """Stands before the forward pass of modules."""

    def __init__(self, *modules: Any) -> None:
        self._context: Context | None = None
        for module in modules:
            module.register_forward_pre_hook(self._look)

    @contextmanager
    def watching(self, context: Context) -> Iterator[None]:
        """Inside, a cancel is raised as `Interrupted` by the next step."""
        self._context = context
        try:
            yield
        finally:
            self._context = None

    def _look(self, *_: object) -> None:
        if self._context is not None and self._context.cancelled():
            raise Interrupted
