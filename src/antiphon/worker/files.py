"""Unit files: the recordings that a unit's parameters name, as `FOLDER/NAME` under the folders that an engine knows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

Folder = Literal["voices", "uploads"]
FOLDERS: tuple[Folder, ...] = ("voices", "uploads")

_VOICE = re.compile(r"ref:([0-9a-f]{64})")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[0-9a-f]{64}\.(?:wav|pcm)")


def named(params: Mapping[str, Any]) -> list[tuple[Folder, str]]:
    """Folder and name of each file that an engine opens for these parameters, without repeats."""
    found: dict[tuple[Folder, str], None] = {}
    for text in _strings(params):
        if match := _VOICE.fullmatch(text):
            found["voices", f"{match[1]}.wav"] = None
    audio = params.get("audio")
    if isinstance(audio, str) and _DIGEST.fullmatch(audio):
        found["uploads", f"{audio}.pcm"] = None
    return list(found)


def is_name(folder: str, name: str) -> bool:
    """Whether `named` could have returned this; nothing else becomes a path."""
    return folder in FOLDERS and _NAME.fullmatch(name) is not None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _strings(each)
