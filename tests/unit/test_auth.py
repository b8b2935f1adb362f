"""API keys: what a key used is counted once, also while the store cannot take it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.auth import ApiKeys, make, today
from antiphon.domain import errors
from antiphon.domain.api_key import Key
from tests.stores.memory import MemoryStore


class Flaky(MemoryStore):
    """A store that is away, or full, when `trouble` says so."""

    trouble: type[errors.AntiphonError] | None = None

    async def add_usage(self, key: str, day: str, seconds: float) -> None:
        if self.trouble is not None:
            raise self.trouble
        await super().add_usage(key, day, seconds)


@pytest.mark.parametrize("trouble", [errors.StoreAway, errors.StorageFull])
async def test_what_was_used_while_the_store_was_away_is_kept_once_it_is_back(
    trouble: type[errors.AntiphonError],
) -> None:
    store = Flaky()
    await store.open()
    for name in ("a", "b"):
        await store.add_key(Key(name, name, name * 64, "vip", admin=False, quota=10.0, created_at=1.0))
    keys = ApiKeys(store)
    await keys.load()
    keys.count_audio("a", 6.0)
    keys.count_audio("b", 1.0)
    store.trouble = trouble
    if trouble is errors.StoreAway:
        with pytest.raises(errors.StoreAway):
            await keys.flush()
    else:
        await keys.flush()
    keys.count_audio("a", 5.0)
    with pytest.raises(errors.OverQuota):
        keys.reserve("a", 1.0)
    store.trouble = None
    await keys.flush()
    await keys.flush()
    assert await store.usage(today()) == {"a": 11.0, "b": 1.0}


async def keys_of(quota: float) -> ApiKeys:
    store = Flaky()
    await store.open()
    await store.add_key(Key("a", "a", "a" * 64, "vip", admin=False, quota=quota, created_at=1.0))
    keys = ApiKeys(store)
    await keys.load()
    return keys


@given(st.lists(st.tuples(st.floats(0.1, 5.0), st.sampled_from(["make", "drop", "wait"])), max_size=40))
@settings(max_examples=50)
def test_a_quota_is_exceeded_by_no_more_than_one_request(work: list[tuple[float, str]]) -> None:
    """However many are on their way at once; and what is refused or cancelled gives back exactly what it took."""

    async def run() -> None:
        keys, made, going = await keys_of(5.0), 0.0, []
        for seconds, end in work:
            try:
                reserved = keys.reserve("a", seconds)
            except errors.OverQuota:
                assert made + sum(going) >= 5.0 - 1e-6
                continue
            if end == "wait":
                going.append(seconds)
                continue
            keys.release("a", reserved)
            if end == "make":
                keys.count_audio("a", seconds)
                made += seconds
            longest = max([seconds, *going])
            assert made + sum(going) <= 5.0 + longest + 1e-6
        for seconds in going:
            keys.release("a", seconds)
        if made < 5.0 - 1e-6:
            keys.release("a", keys.reserve("a", 1.0))

    asyncio.run(run())


@pytest.mark.parametrize("quota", [0.0, -1.0, float("inf"), float("nan")])
def test_a_quota_is_a_number_of_seconds(quota: float) -> None:
    with pytest.raises(errors.InvalidRequest, match="above 0"):
        make("ann", "normal", admin=False, quota=quota)
