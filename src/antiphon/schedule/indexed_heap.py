"""An indexed heap: a priority queue whose items can change their key and can be taken out."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

#: Stale entries that are tolerated, beyond one for every item, before the heap is rebuilt.
SLACK = 32


class IndexedHeap(Generic[T]):
    """Items by key, the least first; of equal keys, the one that was set first. Items must be hashable.

    A changed or discarded item leaves its old entry in the heap, which is skipped when it comes up. The heap is rebuilt
    before stale entries outnumber the others, so every operation is O(log n) amortised and memory stays O(n)."""

    __slots__ = ("_entries", "_heap", "_serial")

    def __init__(self) -> None:
        self._entries: dict[T, tuple[float, int, T]] = {}
        self._heap: list[tuple[float, int, T]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[T]:
        """Items in no particular order; the heap must not change during the iteration."""
        return iter(self._entries)

    def __contains__(self, item: T) -> bool:
        return item in self._entries

    def set(self, item: T, key: float) -> None:
        """Puts an item in, or changes its key. Setting the same key keeps its rank among equals."""
        known = self._entries.get(item)
        if known is not None and known[0] == key:
            return
        self._serial += 1
        entry = (key, self._serial, item)
        self._entries[item] = entry
        heapq.heappush(self._heap, entry)
        self._compact()

    def discard(self, item: T) -> None:
        """Takes an item out, if it is in."""
        if self._entries.pop(item, None) is not None:
            self._compact()

    def first(self) -> tuple[float, T] | None:
        """The least key and its item, which stays in; None if the heap is empty."""
        heap = self._heap
        while heap:
            key, _, item = heap[0]
            if self._entries.get(item) is heap[0]:
                return key, item
            heapq.heappop(heap)
        return None

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._entries) + SLACK:
            self._heap = list(self._entries.values())
            heapq.heapify(self._heap)
