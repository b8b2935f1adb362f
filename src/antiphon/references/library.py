"""Reference library: recordings as files, each named by the digest of its bytes. Blocking; called in threads."""

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
    """Files `directory/<digest>.wav`. No client's name becomes part of a path; no symbolic link is followed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def put(self, wav: bytes) -> str:
        """Writes a file and returns its digest once the file is on disk. Raises `OSError`, and then leaves nothing."""
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
        """The path of a recording, whether it exists or not. Raises `ValueError` for a text that is not a digest."""
        if not voices.is_digest(digest):
            raise ValueError(f"a digest is 64 hexadecimal digits, not {digest[:80]!r}")
        return self.directory / f"{digest}.wav"

    def has(self, digest: str) -> bool:
        path = self.path(digest)
        return path.is_file() and not path.is_symlink()

    def touch(self, digest: str) -> bool:
        """Sets the recording's time of last use to now; False if there is no such recording."""
        try:
            os.utime(self.path(digest), follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def size(self) -> int:
        """Bytes of all files together."""
        return folder_size(self.directory)

    def remove(self, digest: str) -> None:
        """Removes a recording; does nothing if there is none."""
        self.path(digest).unlink(missing_ok=True)

    def older_than(self, seconds: float) -> Iterator[str]:
        """Digests of the recordings last used more than `seconds` ago. Removes temporary files of that age, which a
        crash left."""
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
    """Flushes the directory: without that, a new file name may be lost in a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
