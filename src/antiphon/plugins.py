"""Plug-ins: finds installed engines by entry point. Only the worker process that runs an engine imports it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from antiphon.domain import errors

GROUP = "antiphon.engines"


@cache
def engines() -> dict[str, str]:
    """Reference (`module:Class`) by engine name. Read once: packages installed later are found at the next start."""
    return {point.name: point.value for point in sorted(entry_points(group=GROUP), key=lambda p: p.name)}


def engine_reference(name: str) -> str:
    """The reference of an engine. Raises `UnknownModel`, which lists the installed engines."""
    known = engines()
    if name in known:
        return known[name]
    raise errors.UnknownModel(
        f"There is no engine {name!r}; installed are: {', '.join(known) or 'none'}. "
        f"A package adds one through the entry point group {GROUP!r}.",
        param="model",
    )
