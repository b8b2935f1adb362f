"""Conditioning cache: what models computed from references, by digest, within a budget of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any


class ConditioningCache:
    """Evicts what was least recently used. Not thread-safe: the model's one thread uses it."""

    def __init__(self, budget: int) -> None:
        """`budget` in bytes; a single entry above it is returned but not stored."""
        self._budget = budget
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self.nbytes = 0
        self.hits = self.misses = 0

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The entry, made if it is absent. If `make` raises, nothing is stored."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
            self.hits += 1
            return found[0]
        self.misses += 1
        value = make()
        size = nbytes(value)
        if size <= self._budget:
            self._entries[key] = (value, size)
            self.nbytes += size
            while self.nbytes > self._budget:
                _, (_, evicted) = self._entries.popitem(last=False)
                self.nbytes -= evicted
        return value

    def find(self, key: Hashable) -> Any | None:
        """The entry, if it is there."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def clear(self) -> None:
        self._entries.clear()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._entries)


def nbytes(value: Any) -> int:
    """Bytes of the tensors in a value, through nested collections."""
    if hasattr(value, "element_size"):
        return int(value.numel() * value.element_size())
    if isinstance(value, Mapping):
        return sum(map(nbytes, value.values()))
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return sum(map(nbytes, value))
    return 0
