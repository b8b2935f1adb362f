"""Lru: a mapping bounded in bytes that drops the least recently used values first. No I/O, no threads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


class Lru(Generic[V]):
    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        #: The sum of the sizes; never more than `max_bytes` when a method returns.
        self.bytes = 0
        self._values: OrderedDict[str, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        """The keys, the least recently used first."""
        return iter(self._values)

    def peek(self, key: str) -> V | None:
        found = self._values.get(key)
        return found[0] if found else None

    def get(self, key: str) -> V | None:
        """The value, which becomes the most recently used one."""
        if key in self._values:
            self._values.move_to_end(key)
        return self.peek(key)

    def put(self, key: str, value: V, size: int) -> list[str]:
        """Adds the most recently used value; returns the dropped keys. A value larger than `max_bytes` is not kept."""
        self.pop(key)
        if size > self.max_bytes:
            return [key]
        self._values[key] = (value, size)
        self.bytes += size
        gone: list[str] = []
        while self.bytes > self.max_bytes:
            oldest, (_, freed) = self._values.popitem(last=False)
            self.bytes -= freed
            gone.append(oldest)
        return gone

    def put_oldest(self, key: str, value: V, size: int) -> bool:
        """Adds the least recently used value if there is room and the key is new; returns whether it was added."""
        if key in self._values or self.bytes + size > self.max_bytes:
            return False
        self._values[key] = (value, size)
        self._values.move_to_end(key, last=False)
        self.bytes += size
        return True

    def pop(self, key: str) -> V | None:
        value, size = self._values.pop(key, (None, 0))
        self.bytes -= size
        return value
