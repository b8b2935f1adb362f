"""What the tests of several servers share: a database, an object storage, nodes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import postgres


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Postgres]:
    with postgres.running(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def database(database_server: postgres.Postgres) -> str:
    """URL of an empty database."""
    return database_server.database()
