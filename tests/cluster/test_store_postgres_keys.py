"""The PostgreSQL store keeps the contract of API keys."""

from __future__ import annotations

import pytest

from antiphon.store.base import JobStore
from antiphon.store.postgres.store import PostgresStore
from tests.contract.test_store_keys import *  # noqa: F403 - the whole suite, on another store


@pytest.fixture
def store(database: str) -> JobStore:
    return PostgresStore(database, "one")
