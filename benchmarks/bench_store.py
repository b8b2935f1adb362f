"""How many jobs a second become durable, and how quick the cache answers: `python benchmarks/bench_store.py`.

Prints a line per measurement; everything happens in a temporary directory, on the disk that it is on (--dir).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from antiphon.cache import Cache
from antiphon.domain.job import Job, Result, State, Units
from antiphon.store.connect import Synchronous
from antiphon.store.sqlite import SqliteStore

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness."
RESULT = Result("speech_x.wav", "audio/wav", 20_000, 6.5, "d" * 64, ({"text": TEXT, "start": 0.0, "end": 6.5},))
Act = Callable[[int], Awaitable[object]]


def job(n: int) -> Job:
    request = {"text": TEXT, "model": "tone", "voice": "a"}
    return Job(f"{n:026d}", "speech", State.QUEUED, f"key:{n % 50}", "normal", request, time.time(), units=Units(1))


async def drive(name: str, act: Act, seconds: float, clients: int, busy: float = 0.0) -> None:
    """Lets `clients` act one after the other each; `busy` is the share of time that the loop is kept from them."""
    took: list[float] = []
    count = 0
    end = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal count
        while time.perf_counter() < end:
            count += 1
            begun = time.perf_counter()
            await act(count)
            took.append(time.perf_counter() - begun)

    async def rest_of_a_server() -> None:
        while busy and time.perf_counter() < end:
            until = time.perf_counter() + 0.002
            while time.perf_counter() < until:
                pass
            await asyncio.sleep(0.002 * (1 / busy - 1))

    begun = time.perf_counter()
    await asyncio.gather(rest_of_a_server(), *(client() for _ in range(clients)))
    elapsed = time.perf_counter() - begun
    took.sort()
    p50, p99, worst = (1e3 * took[min(len(took) - 1, int(len(took) * share))] for share in (0.5, 0.99, 1.0))
    print(f"{name:<44} {count / elapsed:>10,.0f}/s   p50 {p50:7.3f}  p99 {p99:7.3f}  max {worst:7.1f} ms", flush=True)


async def adds(folder: Path, synchronous: Synchronous, seconds: float, clients: int, busy: float) -> None:
    store = SqliteStore(folder / f"{synchronous}-{clients}-{busy}.db", synchronous=synchronous)
    await store.open()
    beside = f", loop {busy:.0%} busy" if busy else ""
    await drive(f"add, {synchronous}, {clients} clients{beside}", lambda n: store.add(job(n)), seconds, clients, busy)
    await store.close()


async def lives(folder: Path, seconds: float) -> None:
    """A job's whole way through the store, and reads beside nothing else."""
    store = SqliteStore(folder / "lives.db")
    await store.open()

    async def life(n: int) -> None:
        await store.add(job(n))
        fence = await store.start(job(n).id)
        assert fence is not None
        assert await store.finish(job(n).id, fence, State.SUCCEEDED, RESULT, units=Units(1, 1))

    await drive("add + start + finish, FULL, 64 clients", life, seconds, 64)
    await drive("get, 8 clients", lambda n: store.get(job(1 + n % 1000).id), seconds, 8)
    await drive("list of an owner, 50 jobs, 1 client", lambda n: store.list("key:1"), seconds, 1)
    await store.close()


async def rescue(folder: Path, count: int) -> None:
    """What a start costs with a long queue."""
    store = SqliteStore(folder / "rescue.db")
    await store.open()
    for first in range(0, count, 1000):
        await asyncio.gather(*(store.add(job(first + i)) for i in range(1000)))
    begun = time.perf_counter()
    found = 0
    async for _ in store.rescue():
        found += 1
    elapsed = time.perf_counter() - begun
    size = (folder / "rescue.db").stat().st_size
    print(f"rescue of {found:,} queued jobs: {elapsed:.2f} s; {size / found:,.0f} bytes on disk a job", flush=True)
    await store.close()


async def cache(folder: Path, seconds: float) -> None:
    audio = bytes(range(256)) * 80
    keys = [_key(n) for n in range(2000)]
    held = Cache(folder / "cache", 10**9, 10**9)
    cold = Cache(folder / "cache", 10**9, 0)
    await held.open()
    await drive("cache put, 20 kB, 16 clients", lambda n: held.put(_key(-n), audio, {"n": n}), seconds, 16)
    begun = time.perf_counter()
    for key in keys:
        held.put_soon(key, audio, {})
    soon = time.perf_counter() - begun
    await held.flush()
    behind = time.perf_counter() - begun
    print(f"cache put_soon, 20 kB: {1e6 * soon / 2000:.2f} us each; {2000 / behind:,.0f}/s reach the disk")
    begun, rounds = time.perf_counter(), 100
    for _ in range(rounds):
        for key in keys:
            held.get_in_memory(key)
    hot = (time.perf_counter() - begun) / (rounds * len(keys))
    print(f"cache get_in_memory: {1 / hot:,.0f}/s, {1e6 * hot:.2f} us each", flush=True)
    await cold.open()
    await drive("cache get from disk, 20 kB, 8 clients", lambda n: cold.get(keys[n % 2000]), seconds, 8)
    await held.close()
    await cold.close()


def _key(n: int) -> str:
    return hashlib.sha256(str(n).encode()).hexdigest()


async def main(folder: Path, seconds: float, queued: int) -> None:
    gc.disable()  # A collection in one run and not in the other would be compared, not the disk.
    levels: tuple[Synchronous, ...] = ("FULL", "NORMAL")
    for synchronous in levels:
        for clients, busy in ((1, 0.0), (64, 0.0), (64, 0.5)):
            await adds(folder, synchronous, seconds, clients, busy)
    gc.enable()
    await lives(folder, seconds)
    await rescue(folder, queued)
    await cache(folder, seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, help="where to make the temporary directory")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--queued", type=int, default=100_000, help="jobs for the rescue")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        asyncio.run(main(Path(name), options.seconds, options.queued))
