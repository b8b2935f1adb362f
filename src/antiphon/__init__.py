"""Antiphon: an event-driven speech server.

The package itself imports nothing heavy: what a caller names is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from antiphon.version import __version__

__all__ = ["Antiphon", "AsyncClient", "Client", "__version__"]

if TYPE_CHECKING:
    from antiphon.app.antiphon import Antiphon
    from antiphon.client import AsyncClient, Client

_HOMES = {"Antiphon": "antiphon.app.antiphon", "AsyncClient": "antiphon.client", "Client": "antiphon.client"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'antiphon' has no attribute {name!r}")
