"""SingleFlight: of several callers that want the same value at the same time, one computes it and the others wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Used in one event loop. A caller that gets True from `lead` is the leader and must call `land` in any case.

    A leader that fails or is cancelled lands without a value; each follower then calls `lead` again, and the first
    one becomes the leader. Errors are not shared, because the cause may lie in the leader's own request.
    """

    def __init__(self) -> None:
        self._flights: dict[str, list[asyncio.Future[T | None]]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._flights

    def lead(self, key: str) -> bool:
        """True for the first caller; the others call `follow`."""
        if key in self._flights:
            return False
        self._flights[key] = []
        return True

    def follow(self, key: str) -> asyncio.Future[T | None]:
        """Resolves to the leader's value, or to None if there is none. Cancelling it affects no other caller."""
        future: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._flights[key].append(future)
        return future

    def followers(self, key: str) -> int:
        """The number of callers that still wait for this flight."""
        return sum(not future.done() for future in self._flights.get(key, ()))

    def land(self, key: str, value: T | None = None) -> None:
        """Ends the flight with the leader's value; None if there is none."""
        for future in self._flights.pop(key):
            if not future.done():
                future.set_result(value)

    async def run(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """Returns what `make` returns, in this call or in one that is already running."""
        while not self.lead(key):
            made = await self.follow(key)
            if made is not None:
                return made
        value: T | None = None
        try:
            value = await make()
            return value
        finally:
            self.land(key, value)
