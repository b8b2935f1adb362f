"""A job's end is told once, also where its server was only taken for gone."""

from __future__ import annotations

import time

import psycopg

from antiphon.domain.event import Event, EventType
from tests.cluster.test_store_postgres_versions import done, opened


def told(id: int, type: EventType = "job.succeeded") -> Event:
    return Event(id, type, time.time(), "a", "me", {})


async def test_a_server_that_comes_back_does_not_tell_again_what_another_has_told(database: str) -> None:
    async with opened(database, "slow") as slow, opened(database, "other") as other:
        await done(slow, "a")
        with psycopg.connect(database) as db:
            db.execute("UPDATE servers SET lease_until = clock_timestamp() - interval '1 second' WHERE name = 'slow'")
        assert [job.id for job in await other.unannounced_endings(0.0, time.time() + 1)] == ["a"]
        await slow.append_events([told(1, "unit.done"), told(2)])
        await other.append_events([told(3)])
        await slow.append_events([told(4)])
        assert [event.id for event in await other.events_after(0)] == [1, 3]


async def test_its_own_ends_are_told(database: str) -> None:
    async with opened(database, "one") as one, opened(database, "other") as other:
        await done(one, "a")
        await one.append_events([told(1)])
        assert await other.unannounced_endings(0.0, time.time() + 1) == []
        assert [event.id for event in await other.events_after(0)] == [1]
