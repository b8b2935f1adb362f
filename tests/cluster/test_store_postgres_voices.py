"""The PostgreSQL store keeps the contract of voices."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from antiphon.store.base import JobStore
from antiphon.store.postgres.store import PostgresStore
from tests.contract.test_store_voices import *  # noqa: F403 - the whole suite, on another store


@pytest.fixture
async def store(database: str) -> AsyncIterator[JobStore]:
    made = PostgresStore(database, "one")
    await made.open()
    yield made
    await made.close()
