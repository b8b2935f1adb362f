"""Reference library: recordings are written whole or not at all, under their digests, never under a client's name."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from antiphon.references.library import Library


def test_a_recording_is_found_by_its_digest(tmp_path: Path) -> None:
    library = Library(tmp_path / "voices")
    digest = library.put(b"RIFF")
    assert digest == hashlib.sha256(b"RIFF").hexdigest()
    assert library.has(digest)
    assert library.path(digest).read_bytes() == b"RIFF"
    assert library.put(b"RIFF") == digest
    assert [each.name for each in library.directory.iterdir()] == [f"{digest}.wav"]
    library.remove(digest)
    library.remove(digest)
    assert not library.has(digest)


@pytest.mark.parametrize("name", ["", "../" + "a" * 61, "A" * 64, "a" * 63, "a" * 64 + "\n", "a" * 63 + "/"])
def test_what_is_no_digest_is_no_path(tmp_path: Path, name: str) -> None:
    library = Library(tmp_path)
    for ask in (library.path, library.has, library.remove):
        with pytest.raises(ValueError, match="digest"):
            ask(name)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    library = Library(tmp_path / "voices")
    digest = library.put(b"RIFF")
    library.remove(digest)
    library.path(digest).symlink_to(outside)
    assert not library.has(digest)
    library.put(b"RIFF")
    assert outside.read_bytes() == b"secret"
    assert library.path(digest).read_bytes() == b"RIFF"
    assert library.has(digest)


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(tmp_path)

    def full(_: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        library.put(b"RIFF")
    assert list(tmp_path.iterdir()) == []


def test_old_ones_are_named_and_old_parts_go(tmp_path: Path) -> None:
    library = Library(tmp_path)
    assert list(Library(tmp_path / "none").older_than(0)) == []
    old, new = library.put(b"old"), library.put(b"new")
    part, other = tmp_path / f".{old}.00000000.part", tmp_path / "notes.txt"
    part.touch()
    other.touch()
    for path in (library.path(old), part, other):
        os.utime(path, (1, 1))
    assert list(library.older_than(3600)) == [old]
    assert not part.exists()
    assert other.exists()
    assert library.has(new)
