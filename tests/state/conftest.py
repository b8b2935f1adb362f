"""State machines: Hypothesis parses their source, which CPython 3.11 cannot do while garbage is being collected."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    """A collection in the middle of `ast.parse` ends in a SystemError there (CPython issue 106905)."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
