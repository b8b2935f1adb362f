"""What the tests of several servers share: a database, and servers over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster import postgres, rays, storage
from tests.conftest import Server, Start

Pair = Callable[..., tuple[Server, Server]]


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Postgres]:
    with postgres.running(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def database(database_server: postgres.Postgres) -> str:
    """URL of an empty database."""
    return database_server.database()


@pytest.fixture
def pair(serve: Start, database: str) -> Pair:
    """Two servers over one database, each with its own data directory: `pair("--rate-limit", "5", delay=0.1)`."""

    def start(*args: str, delay: float = 0.0, env: dict[str, str] | None = None, **more: Any) -> tuple[Server, Server]:
        common = ("--model", "tone", "--workers", "1", "--store", database, "--lease", "2", *args)
        env = {"ANTIPHON_TONE_DELAY": str(delay)} | (env or {})
        first, second = (serve(*common, "--server-name", name, env=env, **more) for name in ("one", "two"))
        return first, second

    return start


@pytest.fixture(scope="session")
def storage_server() -> Iterator[storage.Storage]:
    with storage.running() as server:
        yield server


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rays.Rays]:
    with rays.running(tmp_path_factory.mktemp("ray")) as started:
        yield started


@pytest.fixture
def nodes(cluster: rays.Rays) -> rays.Rays:
    """A Ray cluster of three nodes with a CPU each, besides its head."""
    cluster.set(3)
    return cluster
