"""The recordings as files, each under the digest of its bytes. Blocking; called in threads."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from antiphon.domain import voice as voices
from antiphon.files.folders import folder_size


class Library:
    """`directory/<digest>.wav`. No name that a client gave is ever part of a path, and no link is followed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def put(self, wav: bytes) -> str:
        """Keeps a whole file; it is on disk when this returns its digest. Raises OSError, and then left nothing."""
        digest = hashlib.sha256(wav).hexdigest()
        self.directory.mkdir(parents=True, exist_ok=True)
        part = self.directory / f".{digest}.{os.urandom(4).hex()}.part"
        try:
            with part.open("xb") as file:
                file.write(wav)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path(digest))
            _sync(self.directory)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return digest

    def path(self, digest: str) -> Path:
        """Where that recording is, if it is. Raises ValueError for what is no digest."""
        if not voices.is_digest(digest):
            raise ValueError(f"a digest is 64 hexadecimal digits, not {digest[:80]!r}")
        return self.directory / f"{digest}.wav"

    def has(self, digest: str) -> bool:
        path = self.path(digest)
        return path.is_file() and not path.is_symlink()

    def touch(self, digest: str) -> bool:
        """Whether it is there; if so, it counts as put now."""
        try:
            os.utime(self.path(digest), follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def size(self) -> int:
        """Bytes of all files."""
        return folder_size(self.directory)

    def remove(self, digest: str) -> None:
        """Nothing happens if it is not there."""
        self.path(digest).unlink(missing_ok=True)

    def older(self, seconds: float) -> Iterator[str]:
        """Digests of the recordings that were put that long ago; parts that old, which a crash left, are removed."""
        before = time.time() - seconds
        with contextlib.suppress(FileNotFoundError):
            for entry in list(os.scandir(self.directory)):
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime >= before:
                        continue
                    if entry.name.startswith(".") and entry.name.endswith(".part"):
                        os.unlink(entry)
                    elif voices.is_digest(entry.name.removesuffix(".wav")) and entry.name.endswith(".wav"):
                        yield entry.name.removesuffix(".wav")


def _sync(directory: Path) -> None:
    """A new name is durable once its directory is."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
