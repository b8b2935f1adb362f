"""Atomic files: writes a file whole or not at all, so that readers never see a part of it under its name."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path


def write(folder: Path, name: str, data: bytes) -> str:
    """Writes a small file; returns its SHA-256, hexadecimal. Blocking. Raises `OSError`, and then leaves nothing."""
    part, path = paths(folder, name)
    try:
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, path)
        return hashlib.sha256(data).hexdigest()
    except BaseException:
        discard(part)
        raise


def paths(folder: Path, name: str) -> tuple[str, str]:
    """The temporary path and the final one; `os.replace` of the first by the second completes the file. Strings, since
    pathlib interns every part of a path, and the names of all jobs would fill that table."""
    return os.path.join(folder, f".{name}.part"), os.path.join(folder, name)


def discard(part: str) -> None:
    """Removes a temporary file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)
