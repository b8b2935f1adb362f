"""Antiphon: an event-driven speech server.

The package itself imports nothing heavy: what a caller names is loaded when it is first used.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Antiphon", "__version__"]

if TYPE_CHECKING:
    from antiphon.service.app import Antiphon


def __getattr__(name: str) -> Any:
    if name == "Antiphon":
        from antiphon.service.app import Antiphon

        return Antiphon
    raise AttributeError(f"module 'antiphon' has no attribute {name!r}")
