"""Models that another server speaks: `NAME=http://HOST:PORT`, or `NAME=vllm:FOLDER` for one that is started here."""

from __future__ import annotations

import re

from antiphon.catalog.models import ModelSpec
from antiphon.domain import errors

_NAMED = re.compile(r"(?P<name>[^=:/]{1,60})=(?P<where>(https?://|vllm:).+)")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


def find(asked: str) -> ModelSpec | None:
    """None for what does not look like it. Raises `InvalidRequest` for a name that is none."""
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
        # What somebody has set up goes before what was there anyway.
        rank=60,
        # Its time is another machine's, or another process's whose GPU is not ours to share out.
        local=False,
        movable=False,
        prior=(0.5, 0.02),
        options={"url": where} if started is None else {"spawn": started},
    )
