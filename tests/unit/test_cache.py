"""The cache: what is put is got, from memory or disk, in its bounds, also over a restart."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.cache import Cache, Entry
from antiphon.cache import entry as entries
from antiphon.cache.cache import OVERHEAD, TOUCH
from antiphon.cache.entry import CorruptEntry

MIB = 1024 * 1024
META = {"sample_rate": 24000, "segments": [{"text": "你好", "start": 0.0}]}


def key(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def file(root: Path, name: object) -> Path:
    return root / key(name)[:2] / key(name)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def cache(tmp_path: Path, clock: Clock) -> AsyncIterator[Cache]:
    made = Cache(tmp_path, 10 * MIB, MIB, clock=clock)
    await made.open()
    yield made
    await made.close()


async def reopened(root: Path, max_bytes: int = 10 * MIB, memory: int = MIB, clock: Clock | None = None) -> Cache:
    again = Cache(root, max_bytes, memory, clock=clock or Clock())
    await again.open()
    return again


# Put and get


async def test_what_is_put_is_hot_at_once_and_survives(tmp_path: Path, cache: Cache) -> None:
    putting = asyncio.create_task(cache.put(key(1), b"audio", META))
    await asyncio.sleep(0)
    assert cache.get_in_memory(key(1)) == Entry(b"audio", META)
    await putting
    await cache.close()
    again = await reopened(tmp_path)
    assert again.contains(key(1))
    assert again.get_in_memory(key(1)) is None
    assert await again.get(key(1)) == Entry(b"audio", META)
    assert again.get_in_memory(key(1)) == Entry(b"audio", META)
    await again.close()


async def test_put_soon_is_written_behind(tmp_path: Path, cache: Cache) -> None:
    for i in range(100):
        cache.put_soon(key(i), b"%d" % i, {})
        assert cache.contains(key(i))
    assert not file(tmp_path, 99).exists()
    await cache.flush()
    assert cache.stats().entries == 100
    await cache.close()
    again = await reopened(tmp_path)
    assert [await again.get(key(i)) for i in range(100)] == [Entry(b"%d" % i, {}) for i in range(100)]
    await again.close()


async def test_closing_writes_what_waits(tmp_path: Path, cache: Cache) -> None:
    cache.put_soon(key(1), b"audio", {})
    await cache.close()
    assert file(tmp_path, 1).exists()
    # Afterwards memory answers, and nothing is raised.
    cache.put_soon(key(2), b"late", {})
    await cache.put(key(3), b"late", {})
    await cache.discard(key(1))
    assert await cache.get(key(2)) == Entry(b"late", {})
    assert await cache.get(key(1)) is None


async def test_too_much_waiting_is_not_written(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 10 * MIB, MIB, backlog_bytes=1000)
    await cache.open()
    cache.put_soon(key(1), bytes(800), {})
    cache.put_soon(key(2), bytes(800), {})
    cache.put_soon(key(3), bytes(200), {})
    assert cache.get_in_memory(key(2)) == Entry(bytes(800), {})
    await cache.flush()
    assert (cache.stats().entries, cache.stats().dropped) == (2, 1)
    assert not file(tmp_path, 2).exists()
    cache.put_soon(key(2), bytes(800), {})
    await cache.flush()
    assert cache.stats().entries == 3
    await cache.close()


async def test_what_waits_is_hot_even_if_memory_is_too_small_for_it(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 10 * MIB, memory_bytes=0)
    await cache.open()
    cache.put_soon(key(1), b"audio", META)
    assert cache.get_in_memory(key(1)) == Entry(b"audio", META)
    await cache.flush()
    assert cache.get_in_memory(key(1)) is None
    assert await cache.get(key(1)) == Entry(b"audio", META)
    await cache.close()


async def test_the_last_word_on_a_key_wins(tmp_path: Path, cache: Cache) -> None:
    puts = [asyncio.create_task(cache.put(key(1), b"%d" % i, {})) for i in range(50)]
    await asyncio.gather(*puts)
    await cache.put(key(2), b"x", {})
    soon = asyncio.create_task(cache.put(key(2), b"y", {}))
    await asyncio.sleep(0)
    await cache.discard(key(2))
    await soon
    assert await cache.get(key(2)) is None
    await cache.close()
    again = await reopened(tmp_path)
    assert await again.get(key(1)) == Entry(b"49", {})
    assert not again.contains(key(2))
    await again.close()


async def test_discard_forgets(tmp_path: Path, cache: Cache) -> None:
    await cache.put(key(1), b"audio", {})
    await cache.discard(key(1))
    await cache.discard(key(2))
    assert not cache.contains(key(1))
    assert await cache.get(key(1)) is None
    assert not file(tmp_path, 1).exists()
    assert (cache.stats().entries, cache.stats().bytes) == (0, 0)


async def test_many_at_once_get_what_was_put(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 40_000, 8_000)
    await cache.open()

    async def client(lane: int) -> None:
        for i in range(60):
            name = f"{lane % 3}-{i % 20}"
            found = await cache.get(key(name))
            assert found is None or found == Entry(name.encode() * 100, {"n": name})
            if i % 3 == 0:
                cache.put_soon(key(name), name.encode() * 100, {"n": name})
            elif i % 3 == 1:
                await cache.put(key(name), name.encode() * 100, {"n": name})
            elif i % 7 == 0:
                await cache.discard(key(name))

    await asyncio.gather(*(client(lane) for lane in range(12)))
    await cache.flush()
    stats = cache.stats()
    assert (stats.corrupt, stats.dropped) == (0, 0)
    assert stats.bytes == sum(f.stat().st_size for f in tmp_path.glob("*/*")) <= 40_000
    await cache.close()


async def test_hits_and_misses_are_counted(cache: Cache) -> None:
    assert await cache.get(key(1)) is None
    await cache.put(key(1), b"audio", {})
    cache.get_in_memory(key(1))
    await cache.get(key(1))
    assert cache.get_in_memory(key(2)) is None
    assert (cache.stats().hits, cache.stats().misses) == (2, 1)


@pytest.mark.parametrize("wrong", ["", "../../etc/passwd", "A" * 64, "g" * 64, key(1) + "\n", key(1)[:-1]])
async def test_a_key_is_64_hexadecimal_digits(tmp_path: Path, cache: Cache, wrong: str) -> None:
    await cache.put(wrong, b"audio", {})
    assert cache.stats().dropped == 1
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


async def test_meta_that_json_cannot_say_stays_in_memory(cache: Cache) -> None:
    await cache.put(key(1), b"audio", {"what": object()})
    assert cache.get_in_memory(key(1)) is not None
    assert (cache.stats().entries, cache.stats().dropped) == (0, 1)


# Bounds


async def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    size = len(b"".join(entries.pack(key(0), Entry(bytes(5000), {}))))
    cache = await reopened(tmp_path, max_bytes=4 * size, memory=0)
    for i in range(4):
        await cache.put(key(i), bytes(5000), {})
    assert await cache.get(key(0)) is not None
    await cache.put(key(4), bytes(5000), {})
    await cache.flush()
    assert [cache.contains(key(i)) for i in range(5)] == [True, False, True, True, True]
    assert not file(tmp_path, 1).exists()
    assert (cache.stats().entries, cache.stats().bytes, cache.stats().evictions) == (4, 4 * size, 1)
    await cache.close()


async def test_memory_is_bounded_and_the_disk_still_answers(tmp_path: Path) -> None:
    cache = await reopened(tmp_path, memory=3 * (1000 + OVERHEAD))
    for i in range(10):
        await cache.put(key(i), bytes(1000), {})
    assert [cache.get_in_memory(key(i)) is not None for i in range(10)] == [False] * 7 + [True] * 3
    assert await cache.get(key(0)) == Entry(bytes(1000), {})
    assert cache.get_in_memory(key(7)) is None
    assert cache.stats().memory_bytes == 3 * (1000 + OVERHEAD)
    await cache.close()


async def test_what_is_bigger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = await reopened(tmp_path, max_bytes=10_000, memory=10_000)
    await cache.put(key(1), bytes(1000), {})
    await cache.put(key(2), bytes(20_000), {})
    await cache.put(key(3), bytes(9400), {"long": "x" * 500})
    await cache.flush()
    assert [cache.contains(key(i)) for i in (1, 2)] == [True, False]
    assert not file(tmp_path, 2).exists()
    assert not file(tmp_path, 3).exists()
    await cache.close()


async def test_a_smaller_bound_is_kept_from_the_start(tmp_path: Path, cache: Cache, clock: Clock) -> None:
    for i in range(10):
        clock.now += 1
        await cache.put(key(i), bytes(1000), {})
    await cache.close()
    again = await reopened(tmp_path, max_bytes=5000)
    await again.flush()
    left = [i for i in range(10) if file(tmp_path, i).exists()]
    assert left == [6, 7, 8, 9]
    assert again.stats().bytes == sum(f.stat().st_size for f in tmp_path.glob("*/*")) <= 5000
    await again.close()


async def test_memory_only(tmp_path: Path) -> None:
    cache = await reopened(tmp_path, max_bytes=0)
    await cache.put(key(1), b"audio", {})
    assert await cache.get(key(1)) == Entry(b"audio", {})
    assert list(tmp_path.iterdir()) == []
    await cache.close()


# Restart


async def test_a_restart_remembers_what_was_used(tmp_path: Path, cache: Cache, clock: Clock) -> None:
    for i in range(4):
        clock.now += 1
        await cache.put(key(i), bytes(1000), {})
    clock.now += TOUCH
    assert cache.get_in_memory(key(0)) is not None
    await cache.close()
    again = await reopened(tmp_path, max_bytes=2500)
    assert [again.contains(key(i)) for i in range(4)] == [True, False, False, True]
    await again.close()


async def test_a_use_is_noted_on_disk_at_most_once_a_minute(tmp_path: Path, cache: Cache, clock: Clock) -> None:
    await cache.put(key(1), b"audio", {})
    written = clock.now
    for seconds, noted in ((TOUCH - 1, written), (1, written + TOUCH), (1, written + TOUCH)):
        clock.now += seconds
        await cache.get(key(1))
        await cache.flush()
        assert file(tmp_path, 1).stat().st_mtime == noted


async def test_parts_of_an_earlier_life_are_removed_and_strangers_left_alone(tmp_path: Path, cache: Cache) -> None:
    await cache.put(key(1), b"audio", {})
    await cache.close()
    part = file(tmp_path, 1).with_name(f".{key(1)}.0a1b_7.part")
    strangers = [tmp_path / "README", file(tmp_path, 1).with_name("notes.txt"), tmp_path / "zz" / key(1)]
    for each in (part, *strangers):
        each.parent.mkdir(exist_ok=True)
        each.write_bytes(b"x")
    again = await reopened(tmp_path)
    assert not part.exists()
    assert all(each.exists() for each in strangers)
    assert again.stats().entries == 1
    await again.close()


async def test_it_is_usable_while_it_opens(tmp_path: Path, cache: Cache) -> None:
    for i in range(50):
        await cache.put(key(i), b"%d" % i, {})
    await cache.close()
    again = Cache(tmp_path, 10 * MIB, MIB)
    opening = asyncio.create_task(again.open())
    await asyncio.sleep(0)
    again.put_soon(key(7), b"new", {})
    assert await again.get(key(3)) == Entry(b"3", {})
    assert await again.get(key(7)) == Entry(b"new", {})
    await opening
    await again.flush()
    assert again.stats().entries == 50
    assert again.stats().bytes == sum(f.stat().st_size for f in tmp_path.glob("*/*"))
    await again.close()


async def test_a_directory_that_cannot_be_used_costs_only_the_disk(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"a file")
    cache = await reopened(tmp_path / "taken")
    await cache.put(key(1), b"audio", {})
    assert await cache.get(key(1)) == Entry(b"audio", {})
    assert cache.stats().dropped == 1
    await cache.close()


# The form of a file


@given(payload=st.binary(max_size=300), name=st.text(max_size=20), number=st.integers(-(2**53), 2**53))
def test_a_file_gives_back_its_entry(payload: bytes, name: str, number: int) -> None:
    whole = b"".join(entries.pack(key(1), Entry(payload, {"name": name, "number": number})))
    assert entries.unpack(key(1), whole) == Entry(payload, {"name": name, "number": number})


@given(payload=st.binary(max_size=100), data=st.data())
def test_any_change_of_a_file_is_noticed(payload: bytes, data: st.DataObject) -> None:
    whole = b"".join(entries.pack(key(1), Entry(payload, META)))
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[at] ^= data.draw(st.integers(1, 255))
    for wrong in (bytes(flipped), whole[:at], whole + b"x", whole[at + 1 :]):
        with pytest.raises(CorruptEntry):
            entries.unpack(key(1), wrong)
    with pytest.raises(CorruptEntry, match="belongs to"):
        entries.unpack(key(2), whole)


def test_the_form_of_a_file_does_not_change_by_accident() -> None:
    head, payload = entries.pack("0" * 64, Entry(b"audio", {"sample_rate": 24000}))
    assert head.startswith(b"antiphon-c1\n")
    assert head[48:] == b'{"key":"' + b"0" * 64 + b'","meta":{"sample_rate":24000}}'
    assert hashlib.sha256(head[44:] + payload).digest() == head[12:44]
    assert os.fsencode(head[44:48]) == len(head[48:]).to_bytes(4, "big")
