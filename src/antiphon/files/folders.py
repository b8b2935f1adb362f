"""Folders: measures their files, and removes the oldest files of a folder that is over its quota."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path


def folder_size(folder: Path) -> int:
    """Bytes of the plain files in a folder; 0 if there is no folder. Blocking."""
    return sum(nbytes for _, nbytes, _ in _files(folder))


def trim_folder(folder: Path, quota: int, removable: Callable[[str], bool], grace: float) -> tuple[int, int]:
    """Removes files, oldest first, until the folder has at most `quota` bytes: (files, bytes) removed. Only files whose
    name is `removable`, and that are older than `grace` seconds. Blocking."""
    # The folder is mostly under its quota, which is found out without a list of its files.
    total = folder_size(folder)
    if total <= quota:
        return 0, 0
    before = time.time() - grace
    files = freed = 0
    for changed, nbytes, name in sorted(_files(folder)):
        if total - freed <= quota or changed > before:
            break
        if removable(name):
            (folder / name).unlink(missing_ok=True)
            files, freed = files + 1, freed + nbytes
    return files, freed


def _files(folder: Path) -> Iterator[tuple[float, int, str]]:
    """(time of last change, bytes, name) of the plain files, one at a time: there may be a hundred thousand."""
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    stat = entry.stat(follow_symlinks=False)
                    yield stat.st_mtime, stat.st_size, entry.name
