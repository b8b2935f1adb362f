"""The PostgreSQL store keeps the contract of all stores."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from antiphon.store.base import JobStore
from antiphon.store.postgres.store import PostgresStore
from tests.contract.test_store import *  # noqa: F403 - the whole suite, on another store
from tests.contract.test_store import Clock


@pytest.fixture
async def store(database: str, clock: Clock) -> AsyncIterator[JobStore]:
    made = PostgresStore(database, "one", clock)
    await made.open()
    yield made
    await made.close()
