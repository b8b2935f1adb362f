"""Paths: shortens absolute paths in a text that clients get, which would tell how the machine is laid out."""

from __future__ import annotations

import functools
import os
import re

#: First parts of the addresses that messages name, in case the root folder has folders of these names.
_ROUTES = frozenset({"v1", "output", "health", "status", "metrics", "tts", "ws"})


def shortened(text: str) -> str:
    """The text with every absolute path of this machine shortened to its last part: `…/model.onnx`."""
    return _pattern().sub(_short, text) if "/" in text else text


def _short(found: re.Match[str]) -> str:
    quote, path = found["quote"] or "", found["path"] or found["word"]
    return f"{quote}…/{path.rstrip('/').rpartition('/')[2]}{quote}"


@functools.cache
def _pattern() -> re.Pattern[str]:
    """An absolute path begins with a folder of the root; a route or a URL does not."""
    names = "|".join(re.escape(name) for name in sorted(os.listdir("/")) if name not in _ROUTES)
    # A quoted path ends with its quote, and may have spaces; another one ends with the word.
    begin = rf"/(?:{names})(?=[/'\"\s,;:)]|$)"
    quoted = rf"(?P<quote>['\"])(?P<path>{begin}[^'\"\n]*)(?P=quote)"
    return re.compile(rf"(?<![\w.~/-])(?:{quoted}|(?P<word>{begin}[^\s'\",;:)]*))")
