"""ClusterChannel: how servers that share a store find and hear each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from antiphon.domain.event import Event

#: The most servers that may share a store. Every event id of a server, divided by this, leaves the server's slot.
SLOTS = 64


class ClusterChannel(Protocol):
    """One server's side of a shared store. Messages are small JSON objects, and a message may get lost."""

    #: This server's name, the same after a restart.
    server: str
    #: Its number among the servers that are alive, from 0 to `SLOTS` - 1.
    slot: int
    #: Seconds without a renewal after which another server takes over a server's jobs.
    lease: float

    def listen(self, on_message: Callable[[Mapping[str, Any]], None], on_gap: Callable[[], None]) -> None:
        """Calls `on_message` with each message of another server to all servers or to this one, and `on_gap` when some
        may have been lost. Neither may raise. A message names its sender (`from`) and the sender's `slot`."""

    async def listening(self) -> None:
        """Returns once this server receives messages."""

    async def send(self, message: Mapping[str, Any]) -> None:
        """Sends a message to the server that `to` names, or to all. Never raises when the store is away."""

    async def events_between(self, slot: int, first: int, last: int) -> list[Event]:
        """The stored events of the server in a slot, from one id to another, both included."""

    async def own_jobs(self, ids: list[str]) -> set[str]:
        """Which of these jobs are unfinished and still belong to this server."""

    async def servers(self) -> list[tuple[str, int, float]]:
        """The servers that are alive: name, slot, seconds left of the lease."""

    async def hit(self, name: str, per_minute: int) -> tuple[bool, int, float]:
        """Counts a request: whether it is within the rate, how many are left, seconds until the minute ends."""
