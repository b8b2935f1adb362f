"""Cluster: events of another server reach listeners here, even if the store was down when they were due."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from antiphon.app import cluster
from antiphon.bus import Bus
from antiphon.domain import errors
from antiphon.domain.event import Event


class Away:
    """A cluster channel whose first answers are that the store is away."""

    def __init__(self, stored: list[Event], fails: int) -> None:
        self.stored, self.fails = stored, fails

    async def events_between(self, slot: int, first: int, last: int) -> list[Event]:
        if self.fails:
            self.fails -= 1
            raise errors.StoreAway
        return [event for event in self.stored if first <= event.id <= last]


async def test_the_end_of_a_job_is_brought_once_the_store_is_back(monkeypatch: Any) -> None:
    monkeypatch.setattr(cluster, "LOOK", 0.0)
    bus = Bus()
    stored = [Event(n, "job.succeeded", 0.0, f"job{n}", "me", {}) for n in (1, 2)]
    anything = cast("Any", None)
    room = cluster.Cluster(cast("Any", Away(stored, fails=2)), bus, anything, anything, anything, anything)
    with bus.subscribe(owner="me") as received:
        relaying = asyncio.create_task(room._relay())
        for event in stored:
            room._on_events({"slot": 3, "first": event.id, "last": event.id})
        async with asyncio.timeout(10):
            assert [(await anext(received)).id, (await anext(received)).id] == [1, 2]
    relaying.cancel()
