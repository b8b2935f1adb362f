"""Whether what an engine gave is what its kind of engine must give: the rest of the server relies on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities
from antiphon.domain.job import Kind

#: How image files begin that browsers show.
IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")


def check(can: Capabilities, payload: bytes, meta: Mapping[str, Any]) -> None:
    """Raises `UnitFailed`, which says what is wrong."""
    wrong = _CHECKS[can.kind](can, payload, meta)
    if wrong:
        raise errors.UnitFailed(f"The model's answer is not what a model for {can.kind} gives: {wrong}")


def _speech(can: Capabilities, payload: bytes, meta: Mapping[str, Any]) -> str | None:
    if len(payload) % 2:
        return f"the audio ends in the middle of a sample: it has {len(payload)} bytes, an odd number"
    if (told := meta.get("sample_rate")) != can.sample_rate:
        return f"its sample rate is {told!r}, and was {can.sample_rate} when it started"
    return None


def _transcription(can: Capabilities, payload: bytes, meta: Mapping[str, Any]) -> str | None:
    try:
        told = json.loads(payload)
    except ValueError:
        return "it is not JSON"
    if not isinstance(told, dict) or not isinstance(told.get("text"), str) or not isinstance(told.get("language"), str):
        return "it must be an object with `text` and `language`"
    segments = told.get("segments", [])
    if not isinstance(segments, list) or not all(map(_is_segment, segments)):
        return "`segments` must be a list of objects with `start`, `end` and `text`"
    return None


def _is_segment(told: object) -> bool:
    return (
        isinstance(told, dict)
        and isinstance(told.get("text"), str)
        and isinstance(told.get("start"), int | float)
        and isinstance(told.get("end"), int | float)
        and 0 <= told["start"] <= told["end"]
    )


def _image(can: Capabilities, payload: bytes, meta: Mapping[str, Any]) -> str | None:
    return None if payload.startswith(IMAGES) else "it is no PNG, JPEG or WebP"


_CHECKS: Mapping[Kind, Callable[[Capabilities, bytes, Mapping[str, Any]], str | None]] = {
    "speech": _speech,
    "transcription": _transcription,
    "image": _image,
}
