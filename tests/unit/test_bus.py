"""The bus: order, replay, and a gap that is said."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from antiphon.bus import Bus
from antiphon.domain.event import Event


async def read(subscription: Any, count: int) -> list[Event]:
    with subscription:
        return [await anext(subscription) for _ in range(count)]


async def test_a_subscriber_hears_its_job_in_order() -> None:
    bus = Bus()
    subscription = bus.subscribe(job="a")
    told = [bus.publish("unit.done", job, "me", {"n": n}) for n, job in enumerate("abaab")]
    heard = await read(subscription, 3)
    assert heard == [event for event in told if event.job == "a"]


async def test_an_owner_hears_only_what_is_theirs_and_what_is_everybodys() -> None:
    bus = Bus()
    mine = bus.subscribe(owner="me")
    bus.publish("job.queued", "x", "you")
    bus.publish("job.queued", "y", "me")
    bus.publish("model.state")
    assert [event.job for event in await read(mine, 2)] == ["y", None]


async def test_a_slow_subscriber_is_told_what_it_missed() -> None:
    bus = Bus()
    slow = bus.subscribe(job="a", limit=3)
    told = [bus.publish("unit.done", "a", "me", {"n": n}) for n in range(10)]
    heard = await read(slow, 4)
    assert heard[0].type == "gap"
    assert heard[0].data == {"after": 0}
    assert heard[1:] == told[-3:]
    assert told[-4].id <= heard[0].id < told[-3].id


async def test_the_gap_names_the_last_event_that_was_heard() -> None:
    bus = Bus()
    slow = bus.subscribe(job="a", limit=2)
    first = bus.publish("unit.done", "a")
    assert await read(slow, 1) == [first]
    slow = bus.subscribe(job="a", limit=2)
    seen = bus.publish("unit.done", "a")
    assert await anext(slow) == seen
    for _ in range(5):
        bus.publish("unit.done", "a")
    gap = await anext(slow)
    assert (gap.type, gap.data) == ("gap", {"after": seen.id})


async def test_memory_replays_what_it_still_has_and_says_when_it_has_not() -> None:
    bus = Bus(keep=4)
    told = [bus.publish("unit.done", "a", "me", {"n": n}) for n in range(6)]
    assert bus.after(told[0].id, 10) is None
    assert bus.after(told[2].id, 10) == told[3:]
    assert bus.after(told[5].id, 10) == []
    assert bus.after(told[2].id, 10, job="b") == []
    assert bus.after(told[2].id, 2) == told[3:5]


async def test_closing_ends_every_subscription_after_what_waits() -> None:
    bus = Bus()
    subscriptions = [bus.subscribe(job="a"), bus.subscribe()]
    told = bus.publish("job.started", "a")
    bus.close()
    for subscription in subscriptions:
        assert [event async for event in subscription] == [told]
    assert bus.subscribers == 0


async def test_a_reader_that_leaves_is_forgotten() -> None:
    bus = Bus()
    task = asyncio.ensure_future(read(bus.subscribe(job="a"), 1))
    await asyncio.sleep(0)
    assert bus.subscribers == 1
    bus.publish("job.started", "a")
    await task
    assert bus.subscribers == 0


@given(st.lists(st.floats(min_value=0, max_value=4e9), min_size=1), st.integers(min_value=0, max_value=2**52))
def test_ids_only_grow_whatever_the_clock_does(times: list[float], before: int) -> None:
    now = iter(times)
    bus = Bus(clock=lambda: next(now))
    bus.start_after(before)
    ids = [bus.publish("model.state").id for _ in times]
    assert ids == sorted(set(ids))
    assert ids[0] > before
