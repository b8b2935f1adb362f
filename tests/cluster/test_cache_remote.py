"""The cache's second level: segments that other servers made, and a storage that fails, lies or is slow."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from antiphon.app.stores import BucketCache
from antiphon.cache import Cache, RemoteCache
from antiphon.cache.remote import QUIET, WAITING
from antiphon.files.bucket import Bucket
from tests.cluster.storage import Storage

Open = Callable[[str], Cache]


def key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


@pytest.fixture
def bucket(storage_server: Storage) -> Bucket:
    return Bucket(storage_server.bucket(), endpoint=storage_server.endpoint)


@pytest.fixture
async def server(bucket: Bucket, tmp_path: Path) -> AsyncIterator[Open]:
    """The cache of a server of that name."""
    opened: list[Cache] = []

    def open(name: str) -> Cache:
        opened.append(Cache(tmp_path / name, 10**9, remote=RemoteCache(BucketCache(bucket))))
        return opened[-1]

    yield open
    for cache in opened:
        await cache.close()


def remote(cache: Cache) -> RemoteCache:
    assert cache.remote is not None
    return cache.remote


async def test_what_one_made_the_other_has(server: Open, tmp_path: Path) -> None:
    one, two = server("one"), server("two")
    one.put_soon(key("a"), b"audio", {"sample_rate": 24000}, share=True)
    one.put_soon(key("b"), b"private", {})
    await remote(one).flush()
    found = await two.find(key("a"))
    assert found is not None
    assert (found.payload, found.meta) == (b"audio", {"sample_rate": 24000})
    assert await two.find(key("b")) is None
    # From now on it is here, and nobody is asked for it.
    assert two.contains(key("a"))
    await two.flush()
    assert (tmp_path / "two" / key("a")[:2] / key("a")).exists()
    assert remote(two).found == 1


async def test_many_ask_once(server: Open, bucket: Bucket) -> None:
    one, two = server("one"), server("two")
    one.put_soon(key("a"), b"audio", {}, share=True)
    await remote(one).flush()
    before = bucket.counts["get", "ok"]
    two.prefetch([key("a"), key("none")])
    assert all(found is not None for found in await asyncio.gather(*(two.find(key("a")) for _ in range(10))))
    assert await two.find(key("none")) is None
    assert await two.find(key("none")) is None
    assert bucket.counts["get", "ok"] - before == 1
    assert bucket.counts["get", "missing"] == 1


async def test_who_stops_waiting_takes_nothing_from_others(server: Open) -> None:
    one, two = server("one"), server("two")
    one.put_soon(key("a"), b"audio", {}, share=True)
    await remote(one).flush()
    first, second = (asyncio.create_task(two.find(key("a"))) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is not None


@pytest.mark.parametrize("what", ["flipped", "cut", "swapped", "empty"])
async def test_what_is_not_what_was_written_is_never_given_out(server: Open, bucket: Bucket, what: str) -> None:
    one, two = server("one"), server("two")
    one.put_soon(key("a"), b"audio" * 100, {}, share=True)
    one.put_soon(key("b"), b"other" * 100, {}, share=True)
    await remote(one).flush()
    name = f"cache/{key('a')[:2]}/{key('a')}"
    data = await bucket.get(name)
    assert data is not None
    other = await bucket.get(f"cache/{key('b')[:2]}/{key('b')}")
    bad = {"flipped": data[:-1] + bytes([data[-1] ^ 1]), "cut": data[:-1], "swapped": other, "empty": b""}[what]
    assert bad is not None
    await bucket.put(name, bad)
    assert await two.find(key("a")) is None
    assert not await bucket.has(name)  # It is made anew, once, for all.


async def test_a_storage_that_is_away_costs_one_question(server: Open, bucket: Bucket, storage_server: Storage) -> None:
    cache = server("one")
    storage_server.stop()
    try:
        assert await cache.find(key("a")) is None
        failed = bucket.counts["get", "failed"]
        for n in range(20):
            assert await cache.find(key(str(n))) is None
        assert bucket.counts["get", "failed"] == failed
        cache.put_soon(key("a"), b"audio", {}, share=True)
        await remote(cache).flush()
        assert remote(cache).dropped == 1
        assert await cache.get(key("a")) is not None
    finally:
        storage_server.start()


async def test_it_is_asked_again_after_a_while(bucket: Bucket, storage_server: Storage) -> None:
    now = 0.0
    found = RemoteCache(BucketCache(bucket), clock=lambda: now)
    storage_server.stop()
    assert await found.find(key("a")) is None
    storage_server.start()
    other = RemoteCache(BucketCache(bucket))
    cache_entry = Cache(Path("unused"), 0, remote=other)
    cache_entry.put_soon(key("a"), b"audio", {}, share=True)
    await other.flush()
    assert await found.find(key("a")) is None
    now = QUIET + 0.1
    assert await found.find(key("a")) is not None
    await other.close()
    await found.close()


async def test_a_slow_storage_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        async def get(self, key: str) -> bytes | None:
            await asyncio.Event().wait()
            return None

        async def put(self, key: str, data: bytes) -> None:
            await asyncio.Event().wait()

        async def remove(self, key: str) -> None: ...

    monkeypatch.setattr("antiphon.cache.remote.PATIENCE", 0.05)
    monkeypatch.setattr("antiphon.cache.remote.FAREWELL", 0.05)
    cache = Cache(Path("unused"), 0, remote=RemoteCache(Slow()))
    assert await cache.find(key("a")) is None
    assert await cache.find(key("b")) is None  # At once: nothing is asked for a while.
    half = bytes(WAITING // 2)
    for name in "abc":
        cache.put_soon(key(name), half, {}, share=True)
    assert remote(cache).dropped == 1  # What waits to be sent is bounded.
    await cache.close()
