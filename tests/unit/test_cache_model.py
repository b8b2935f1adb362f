"""The bounds of the cache against a model: a list in the order of use, cut where its sizes are too much."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from antiphon.cache import Cache, Entry
from antiphon.cache import entry as entries
from antiphon.cache.cache import OVERHEAD
from antiphon.cache.lru import Lru

KEYS = st.integers(0, 12).map(lambda n: hashlib.sha256(bytes([n])).hexdigest())
SIZES = st.sampled_from([0, 10, 500, 1500, 3000, 9000])
DISK, MEMORY = 8000, 4000


class Model:
    """What should be there: (key, size), the least recently used first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held: list[tuple[str, int]] = []

    def drop(self, key: str) -> None:
        self.held = [each for each in self.held if each[0] != key]

    def put(self, key: str, size: int) -> None:
        self.drop(key)
        if size <= self.limit:
            self.held.append((key, size))
        while sum(size for _, size in self.held) > self.limit:
            self.held.pop(0)

    def use(self, key: str) -> None:
        self.held.sort(key=lambda each: each[0] == key)

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.held]


class Bounds(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.now = 1000.0
        self.disk, self.memory = Model(DISK), Model(MEMORY)
        self.written: dict[str, Entry] = {}

    @initialize()
    def open(self) -> None:
        self.cache = Cache(Path(self.folder.name), DISK, MEMORY, clock=self.clock)
        self.runner.run(self.cache.open())

    def clock(self) -> float:
        """Every look is a second later, so that files keep their order."""
        self.now += 100.0
        return self.now

    def teardown(self) -> None:
        self.runner.run(self.cache.close())
        self.runner.close()
        self.folder.cleanup()

    @rule(key=KEYS, size=SIZES)
    def put(self, key: str, size: int) -> None:
        entry = Entry(bytes(size), {"size": size})
        self.runner.run(self.cache.put(key, entry.payload, entry.meta))
        self.runner.run(self.cache.flush())
        self.memory.put(key, size + OVERHEAD)
        if size + OVERHEAD <= DISK:
            self.disk.put(key, sum(map(len, entries.pack(key, entry))))
            self.written[key] = entry
        elif key not in self.disk.keys:
            self.written.pop(key, None)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        found = self.runner.run(self.cache.get(key))
        if key in self.memory.keys or key in self.disk.keys:
            assert found == self.written[key]
            if key not in self.memory.keys:
                self.memory.put(key, len(found.payload) + OVERHEAD)
            self.memory.use(key)
            self.disk.use(key)
        else:
            assert found is None
        self.runner.run(self.cache.flush())

    @rule(key=KEYS)
    def discard(self, key: str) -> None:
        self.runner.run(self.cache.discard(key))
        self.memory.drop(key)
        self.disk.drop(key)

    @rule()
    def restart(self) -> None:
        self.runner.run(self.cache.close())
        self.open()
        self.memory = Model(MEMORY)

    @invariant()
    def is_as_the_model(self) -> None:
        stats = self.cache.stats()
        assert stats.bytes == sum(size for _, size in self.disk.held) <= DISK
        assert stats.memory_bytes == sum(size for _, size in self.memory.held) <= MEMORY
        assert list(self.cache._disk) == self.disk.keys
        assert list(self.cache._memory) == self.memory.keys
        files = {file.name for file in Path(self.folder.name).glob("*/*")}
        assert files == set(self.disk.keys)
        assert stats.dropped == stats.corrupt == 0


TestBounds = Bounds.TestCase
TestBounds.settings = settings(
    max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_the_oldest_place_is_taken_only_if_there_is_room() -> None:
    lru: Lru[int] = Lru(10)
    assert lru.put("b", 1, 4) == []
    assert lru.put_oldest("a", 2, 6)
    assert not lru.put_oldest("c", 3, 1)
    assert not lru.put_oldest("b", 3, 0)
    assert list(lru) == ["a", "b"]
    assert lru.put("d", 4, 5) == ["a"]
    assert (lru.bytes, len(lru)) == (9, 2)
