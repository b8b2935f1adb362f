"""Single flight: of those who want the same thing at the same time one makes it, and the others wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Used in one event loop. Whoever gets True from `lead` must `land`, whatever happens.

    A leader that fails or is cancelled lands without a value; each follower then asks `lead` again, and the first
    of them leads. Nobody gets another's error: the cause may lie in the one who had it.
    """

    def __init__(self) -> None:
        self._flights: dict[str, list[asyncio.Future[T | None]]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._flights

    def lead(self, key: str) -> bool:
        """True for the first who asks; the others `follow`."""
        if key in self._flights:
            return False
        self._flights[key] = []
        return True

    def follow(self, key: str) -> asyncio.Future[T | None]:
        """Resolves to what the leader made, or to None: try yourself. Cancelling it concerns nobody else."""
        future: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._flights[key].append(future)
        return future

    def followers(self, key: str) -> int:
        """How many wait for this flight now; those who gave up do not count."""
        return sum(not future.done() for future in self._flights.get(key, ()))

    def land(self, key: str, value: T | None = None) -> None:
        """Ends the flight; `value` is what was made, None if nothing was."""
        for future in self._flights.pop(key):
            if not future.done():
                future.set_result(value)

    async def run(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """What `make` returns: this caller's, or that of somebody who is making it now."""
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
