"""API keys: what every store must do with them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from antiphon.auth import make
from antiphon.domain import errors
from antiphon.store.base import JobStore
from antiphon.store.sqlite import SqliteStore
from tests.stores.memory import MemoryStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> JobStore:
    if request.param == "memory":
        return MemoryStore()
    return SqliteStore(tmp_path_factory.mktemp("store") / "antiphon.db")


def run(store: JobStore, *steps: object) -> None:
    async def all_() -> None:
        await store.open()
        try:
            for step in steps:
                await step(store)  # type: ignore[operator]
        finally:
            await store.close()

    asyncio.run(all_())


def test_keys_are_kept_in_order_and_revoked_once(store: JobStore) -> None:
    async def steps(store: JobStore) -> None:
        first, _ = make("first", "vip", admin=True, quota=None)
        second, _ = make("second", "bulk", admin=False, quota=60.0)
        second = replace(second, created_at=first.created_at + 1)
        await store.add_key(first)
        await store.add_key(second)
        assert await store.keys() == [first, second]
        gone = await store.revoke_key("first", 5.0)
        assert gone == replace(first, revoked_at=5.0)
        assert await store.revoke_key("first", 6.0) is None
        assert await store.revoke_key(second.id, 7.0) == replace(second, revoked_at=7.0)
        assert [key.revoked_at for key in await store.keys()] == [5.0, 7.0]

    run(store, steps)


def test_a_name_is_free_again_once_its_key_is_revoked(store: JobStore) -> None:
    async def steps(store: JobStore) -> None:
        await store.add_key(make("same", "normal", admin=False, quota=None)[0])
        with pytest.raises(errors.Conflict):
            await store.add_key(make("same", "normal", admin=False, quota=None)[0])
        await store.revoke_key("same", 1.0)
        await store.add_key(make("same", "normal", admin=False, quota=None)[0])
        assert len(await store.keys()) == 2

    run(store, steps)


def test_usage_adds_up_by_day(store: JobStore) -> None:
    async def steps(store: JobStore) -> None:
        for key, day, seconds in (("a", "2026-11-23", 1.5), ("a", "2026-11-23", 2.0), ("b", "2026-11-23", 4.0)):
            await store.add_usage(key, day, seconds)
        await store.add_usage("a", "2026-11-24", 9.0)
        assert await store.usage("2026-11-23") == {"a": 3.5, "b": 4.0}
        assert await store.usage("2026-11-25") == {}

    run(store, steps)
