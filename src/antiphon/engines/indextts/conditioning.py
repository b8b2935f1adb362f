"""What a model computed from recordings, kept by the recording's digest within a budget of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Any


class Conditioning:
    """Least recently used goes first. One thread uses it, as it does the model."""

    def __init__(self, budget: int) -> None:
        """`budget` in bytes; a single entry above it is given out and not kept."""
        self._budget = budget
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self.nbytes = 0
        self.hits = self.misses = 0

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The entry, made if it is not there; what `make` raises is kept of nothing."""
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
                _, (_, gone) = self._entries.popitem(last=False)
                self.nbytes -= gone
        return value

    def __len__(self) -> int:
        return len(self._entries)


def nbytes(value: Any) -> int:
    """Bytes of the tensors in it."""
    if hasattr(value, "element_size"):
        return int(value.numel() * value.element_size())
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return sum(map(nbytes, value))
    return 0
