"""Remote models: speech of another server, `NAME=http://HOST:PORT`, or of one started here, `NAME=vllm:FOLDER`."""

from __future__ import annotations

import re

from antiphon.catalog.spec import ModelSpec
from antiphon.domain import errors

_NAMED = re.compile(r"(?P<name>[^=:/]{1,60})=(?P<where>(https?://|vllm:).+)")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


def find(asked: str) -> ModelSpec | None:
    """The model that the operator described; None for another form. Raises `InvalidRequest` for an invalid name."""
    found = _NAMED.fullmatch(asked)
    if found is None:
        return None
    name, where = found["name"], found["where"]
    if not _NAME.fullmatch(name):
        raise errors.InvalidRequest(f"{name!r} is no name for a model: letters, digits, . _ and -", param="model")
    started = where.removeprefix("vllm:") if where.startswith("vllm:") else None
    return ModelSpec(
        name=name,
        engine="openai",
        kind="speech",
        title=name,
        description="Spoken by vLLM-Omni, started here." if started else "Spoken by another server.",
        languages=(),
        licence="see the other server",
        # A model that the operator set up goes before the listed CPU models.
        rank=60,
        # Another machine computes, or a process whose GPU this server does not divide.
        local=False,
        movable=False,
        prior=(0.5, 0.02),
        options={"url": where} if started is None else {"spawn": started},
    )
