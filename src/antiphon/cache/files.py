"""The cache's directory: whole files under their keys, or none. Blocking; called in threads."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from pathlib import Path
from typing import BinaryIO, NamedTuple

from antiphon.cache import entry as entries
from antiphon.cache.entry import Entry

_KEY = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"\.[0-9a-f]{64}\.\w+\.part")


class Found(NamedTuple):
    key: str
    #: Bytes of the file.
    size: int
    #: Seconds since the epoch.
    used_at: float


class Files:
    """`root/ab/abcdef…`: two levels, so that no directory grows long. Files of others are left alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # Names of this life's parts: a scan takes those of earlier lives away, and these not.
        self._life = os.urandom(4).hex()
        self._count = itertools.count()

    def scan(self) -> list[Found]:
        """Every entry, the least recently used first. Removes the parts that an earlier life left behind."""
        self._root.mkdir(parents=True, exist_ok=True)
        found: list[Found] = []
        for folder in os.scandir(self._root):
            if len(folder.name) != 2 or not folder.is_dir(follow_symlinks=False):
                continue
            for file in os.scandir(folder):
                if _KEY.fullmatch(file.name) and file.name.startswith(folder.name):
                    with contextlib.suppress(FileNotFoundError):
                        stat = file.stat(follow_symlinks=False)
                        found.append(Found(file.name, stat.st_size, stat.st_mtime))
                elif _PART.fullmatch(file.name) and f".{self._life}_" not in file.name:
                    with contextlib.suppress(OSError):
                        os.unlink(file)
        found.sort(key=lambda each: each.used_at)
        return found

    def read(self, key: str) -> Entry:
        """Raises FileNotFoundError, `Rotten`, or OSError when the disk fails."""
        return entries.unpack(key, self._path(key).read_bytes())

    def write(self, key: str, entry: Entry, used_at: float) -> int:
        """Puts the whole file in its place at once; returns its size. Raises OSError, and then left nothing."""
        path = self._path(key)
        head, payload = entries.pack(key, entry)
        part = path.with_name(f".{key}.{self._life}_{next(self._count)}.part")
        try:
            with _create(part) as file:
                file.write(head)
                file.write(payload)
            os.utime(part, (used_at, used_at))
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        return len(head) + len(payload)

    def remove(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def touch(self, key: str, used_at: float) -> None:
        """Remembers the use over a restart, if the file is still there and the disk takes it."""
        with contextlib.suppress(OSError):
            os.utime(self._path(key), (used_at, used_at))

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"a cache key is 64 hexadecimal digits, not {key[:80]!r}")
        return self._root / key[:2] / key


def _create(path: Path) -> BinaryIO:
    """A new file for writing, with its folder if need be."""
    try:
        return path.open("xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")
