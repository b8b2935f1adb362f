"""Interrupt: checks for a cancel before every step of a model's stages, which is every few milliseconds.

The server kills a worker that does not drop a cancelled unit within the grace, and the next one has to load gigabytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from antiphon.domain.engine import Context


class Interrupted(Exception):
    """The unit was cancelled while the model computed it."""


class Interrupt:
    """Hooks into the forward pass of modules."""

    def __init__(self, *modules: Any) -> None:
        self._context: Context | None = None
        for module in modules:
            module.register_forward_pre_hook(self._check)

    @contextmanager
    def watching(self, context: Context) -> Iterator[None]:
        """Inside the block the next step after a cancel raises `Interrupted`."""
        self._context = context
        try:
            yield
        finally:
            self._context = None

    def _check(self, *_: object) -> None:
        if self._context is not None and self._context.cancelled():
            raise Interrupted
