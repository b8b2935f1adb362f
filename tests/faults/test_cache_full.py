"""A full disk under the cache: nothing is raised, memory goes on, nothing partial gets a name, and space is used again."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.cache import Cache, Entry
from antiphon.cache import entry as entries


def key(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


async def test_a_full_disk_costs_nobody_their_audio(small_disk: Path) -> None:
    cache = Cache(small_disk / "cache", 10**9)
    await cache.open()
    for i in range(100):
        await cache.put(key(i), bytes([i]) * 30_000, {"n": i})
    stats = cache.stats()
    assert stats.dropped > 50
    assert stats.entries + stats.dropped == 100
    assert [await cache.get(key(i)) for i in range(100)] == [Entry(bytes([i]) * 30_000, {"n": i}) for i in range(100)]
    files = [file for file in small_disk.rglob("*") if file.is_file()]
    assert len(files) == stats.entries
    for file in files:
        entries.unpack(file.name, file.read_bytes())
    for i in range(10):
        await cache.discard(key(i))
    await cache.put(key("later"), bytes(30_000), {})
    assert cache.stats().entries == stats.entries - 10 + 1
    await cache.close()
