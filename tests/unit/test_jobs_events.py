"""Replays: pages of past events, each event once and in order, whatever happens while they are read."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.api.events import EventStreams
from antiphon.bus import Bus
from antiphon.domain.event import Event
from antiphon.jobs.events import PAGE, EventJournal
from tests.stores.memory import MemoryStore


class Streams:
    """A stream of everybody's events over a bus that remembers few of them, and a store."""

    def __init__(self, keep: int) -> None:
        self.bus, self.store = Bus(keep=keep), MemoryStore()
        # No job is active: every event is stored.
        self.journal = EventJournal(self.bus, self.store, cast(Any, SimpleNamespace(active={})))
        self.bus.listen(self.journal._on_event)
        self.told: list[Event] = []
        self.pages: list[int] = []

    def publish(self, count: int) -> None:
        self.told += [self.bus.publish("unit.done", "a", None, {"n": n}) for n in range(count)]

    async def hear(self, meanwhile: list[int], least: int = 0) -> list[Event]:
        """All events from the first, `least` of them at least; after each of the first lists, so many more are
        published."""
        await self.store.open()
        streams = EventStreams(self.bus, self.journal, cast(Any, None))
        heard: list[Event] = []
        async with contextlib.aclosing(streams.stream(job=None, owner=None, after=0)) as lists:
            more = iter(meanwhile)
            while len(heard) < max(least, len(self.told)):
                found = await asyncio.wait_for(anext(lists), 5)
                heard += found
                self.pages.append(len(found))
                self.publish(next(more, 0))
        return heard


@settings(max_examples=20)
@given(st.integers(4, 200), st.integers(1, 300), st.lists(st.sampled_from((0, 1, 2, PAGE, 60, 1100)), max_size=6))
def test_each_event_comes_once_and_in_order(keep: int, before: int, meanwhile: list[int]) -> None:
    async def run() -> None:
        streams = Streams(keep)
        streams.publish(before)
        heard = await streams.hear(meanwhile)
        assert heard == streams.told
        assert max(streams.pages) <= PAGE

    asyncio.run(run())


async def test_more_than_a_subscription_holds_may_happen_during_a_replay() -> None:
    streams = Streams(keep=16)
    streams.publish(3 * PAGE)
    heard = await streams.hear([5000])
    assert [event.type for event in heard] == ["unit.done"] * (5000 + 3 * PAGE)
    assert heard == streams.told


async def test_what_is_lost_after_a_replay_is_said_from_where_it_ended() -> None:
    streams = Streams(keep=16)
    await streams.store.open()
    streams.publish(10)
    lists = EventStreams(streams.bus, streams.journal, cast(Any, None)).stream(job=None, owner=None, after=0)
    async with contextlib.aclosing(lists):
        first = await anext(lists)
        waiting = asyncio.ensure_future(anext(lists))
        # Until it waits for what happens.
        while not any(each._wake._waiters for each in streams.bus._others):  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        streams.publish(1500)
        (gap, *_), last = await waiting, first[-1].id
        assert gap.type == "gap"
        assert gap.data == {"after": last}


class Late(MemoryStore):
    """A store that finds nothing more, and meanwhile more happens than a subscription holds."""

    streams: Streams
    empty = 0

    async def events_after(
        self, id: int, job: str | None = None, owner: str | None = None, limit: int = 1000
    ) -> list[Event]:
        found = await super().events_after(id, job, owner, limit)
        # Its last page is read twice: before and after what waits is written.
        self.empty += not found and id > 0
        if self.empty == 2:
            self.streams.publish(1500)
            self.empty = -1000
        return found


async def test_what_happens_while_the_last_page_is_read_is_past_too() -> None:
    streams = Streams(keep=4)
    streams.store = streams.journal._store = late = Late()
    late.streams = streams
    # With other servers beside it, the past is never read from memory.
    streams.bus.number(1)
    streams.publish(20)
    heard = await streams.hear([], 1520)
    assert len(heard) == 1520
    assert heard == streams.told
