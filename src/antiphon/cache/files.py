"""Files: the cache's directory, with complete files named by their keys. Blocking; called in threads."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from pathlib import Path
from typing import BinaryIO, NamedTuple

from antiphon.cache import entry as entries
from antiphon.cache.entry import CorruptEntry, Entry

_KEY = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"\.[0-9a-f]{64}\.\w+\.part")


class Found(NamedTuple):
    key: str
    #: Bytes of the file.
    size: int
    #: Seconds since the epoch.
    used_at: float


class Files:
    """`root/ab/abcdef…`: two levels, so that no directory gets too many files. Other files are left alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # Part of the names of this process's temporary files: a scan removes only those of previous processes.
        self._process = os.urandom(4).hex()
        self._count = itertools.count()

    def scan(self) -> list[Found]:
        """Every entry, the least recently used first. Removes the temporary files of previous processes."""
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
                elif _PART.fullmatch(file.name) and f".{self._process}_" not in file.name:
                    with contextlib.suppress(OSError):
                        os.unlink(file)
        found.sort(key=lambda each: each.used_at)
        return found

    def read(self, key: str) -> Entry:
        """Raises `FileNotFoundError`, `CorruptEntry`, or `OSError` when the disk fails."""
        # No link is followed: whoever can put one there cannot make the server give out another file.
        with open(os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            return entries.unpack(key, file.read())

    def check(self) -> tuple[int, list[str]]:
        """Reads every entry: the number of sound ones, and the keys of those that are damaged or cannot be read."""
        sound, damaged = 0, list[str]()
        for folder in os.scandir(self._root) if self._root.is_dir() else ():
            if len(folder.name) == 2 and folder.is_dir(follow_symlinks=False):
                for key in (file.name for file in os.scandir(folder) if _KEY.fullmatch(file.name)):
                    try:
                        self.read(key)
                        sound += 1
                    except FileNotFoundError:
                        pass  # Removed meanwhile.
                    except (CorruptEntry, OSError):
                        damaged.append(key)
        return sound, damaged

    def write(self, key: str, entry: Entry, used_at: float) -> int:
        """Writes the file and renames it into place; returns its bytes. Raises `OSError` and then leaves no file."""
        path = self._path(key)
        head, payload = entries.pack(key, entry)
        part = os.path.join(os.path.dirname(path), f".{key}.{self._process}_{next(self._count)}.part")
        try:
            with _create(part) as file:
                file.write(head)
                file.write(payload)
            os.utime(part, (used_at, used_at))
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
        return len(head) + len(payload)

    def remove(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(key))

    def touch(self, key: str, used_at: float) -> None:
        """Writes the time of use to the file, if the file still exists and the disk works."""
        with contextlib.suppress(OSError):
            os.utime(self._path(key), (used_at, used_at))

    def _path(self, key: str) -> str:
        # A string, not a `Path`: pathlib interns every part of a path, and each unit has its own name.
        if not _KEY.fullmatch(key):
            raise ValueError(f"a cache key is 64 hexadecimal digits, not {key[:80]!r}")
        return os.path.join(self._root, key[:2], key)


def _create(path: str) -> BinaryIO:
    """A new file for writing; its folder is created if necessary."""
    try:
        return open(path, "xb")
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return open(path, "xb")
