"""Cache rot: files that were flipped, cut, emptied or swapped are never served, and each is made anew once."""

from __future__ import annotations

import asyncio
import hashlib
import random
from pathlib import Path

from antiphon.cache import Cache, Entry

ENTRIES = 60
SEED = 1984


def key(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def _entry(i: int) -> Entry:
    return Entry(random.Random(i).randbytes(200 + 37 * i), {"sample_rate": 24000, "n": i})


def _rot(files: list[Path], rng: random.Random) -> None:
    """Each file is harmed in one of four ways, the last by changing places with its neighbour."""
    for i, file in enumerate(files):
        data = bytearray(file.read_bytes())
        match i % 4:
            case 0:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
                file.write_bytes(data)
            case 1:
                file.write_bytes(data[: rng.randrange(1, len(data))])
            case 2:
                file.write_bytes(b"")
            # Each with the next of its kind, so that the first file ends up last and none in its own place.
            case 3 if i + 4 < len(files):
                other = files[i + 4]
                mine, theirs = file.read_bytes(), other.read_bytes()
                file.write_bytes(theirs)
                other.write_bytes(mine)


async def test_no_rotten_entry_is_served_and_each_is_made_once(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    cache = Cache(tmp_path, 10**8, memory_bytes=0)
    await cache.open()
    for i in range(ENTRIES):
        await cache.put(key(i), _entry(i).payload, _entry(i).meta)
    files = [tmp_path / key(i)[:2] / key(i) for i in range(ENTRIES)]
    _rot(files, rng)
    made = dict.fromkeys(range(ENTRIES), 0)

    async def speak(i: int) -> Entry:
        found = await cache.get(key(i))
        if found is None:
            made[i] += 1
            found = _entry(i)
            await cache.put(key(i), found.payload, found.meta)
        return found

    for _ in range(3):
        answers = await asyncio.gather(*(speak(i) for i in range(ENTRIES)))
        bad = [i for i, answer in enumerate(answers) if answer != _entry(i)]
        assert not bad, f"seed {SEED}"
    assert set(made.values()) == {1}, f"seed {SEED}"
    stats = cache.stats()
    assert (stats.corrupt, stats.entries) == (ENTRIES, ENTRIES)
    await cache.close()


async def test_a_rotten_file_is_gone_although_nobody_makes_it_anew(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 10**8, memory_bytes=0)
    await cache.open()
    await cache.put(key(1), b"audio", {})
    file = tmp_path / key(1)[:2] / key(1)
    file.write_bytes(b"rot")
    assert await asyncio.gather(*(cache.get(key(1)) for _ in range(5))) == [None] * 5
    await cache.flush()
    assert not file.exists()
    assert not cache.contains(key(1))
    assert (cache.stats().corrupt, cache.stats().bytes) == (1, 0)
    await cache.close()


async def test_a_file_that_vanished_is_a_miss(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 10**8, memory_bytes=0)
    await cache.open()
    await cache.put(key(1), b"audio", {})
    (tmp_path / key(1)[:2] / key(1)).unlink()
    assert await cache.get(key(1)) is None
    assert not cache.contains(key(1))
    assert (cache.stats().corrupt, cache.stats().bytes) == (0, 0)
    await cache.close()


async def test_a_link_in_the_place_of_an_entry_is_not_followed(tmp_path: Path) -> None:
    """Else whoever can put a link there chooses which of the server's files a client gets."""
    cache = Cache(tmp_path / "cache", 1_000_000, 0)
    await cache.open()
    await cache.put(key("a"), b"sound", {})
    (file,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert await cache.get(key("a")) is None
    await cache.put(key("a"), b"sound", {})
    assert await cache.get(key("a")) == Entry(b"sound", {})
    assert not file.is_symlink()
    await cache.close()
