"""API keys: what a key used is counted once, also while the store cannot take it."""

from __future__ import annotations

import pytest

from antiphon.auth import ApiKeys, today
from antiphon.domain import errors
from antiphon.domain.key import Key
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
        keys.check_quota("a")
    store.trouble = None
    await keys.flush()
    await keys.flush()
    assert await store.usage(today()) == {"a": 11.0, "b": 1.0}
