"""Runs any tests that start servers over other parts: `pytest -p tests.cluster.over --over ray --over postgres tests/e2e`.

Ray: one node besides the head. PostgreSQL: a database for each data directory. S3: a bucket for each. A test of what is
true of one part alone says so by `@pytest.mark.local("PART: why")`, where the part is `workers`, `sqlite` or `files`,
and is skipped over another.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests import conftest
from tests.cluster import postgres, rays, storage

#: What takes the place of what.
REPLACES = {"ray": "workers", "postgres": "sqlite", "s3": "files"}
#: A node starts as many processes ahead as it has CPUs, and workers enough for every server of a run find a place on it.
CPUS, SHARE = 2, 0.02

Over = Callable[[Path, Mapping[str, str]], dict[str, str]]

_started = contextlib.ExitStack()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--over", action="append", default=[], choices=list(REPLACES))


def pytest_sessionstart(session: pytest.Session) -> None:
    if getattr(session.config.option, "numprocesses", None):
        return  # Each of xdist's processes has its own.
    folder = Path(_started.enter_context(tempfile.TemporaryDirectory(prefix="antiphon-over-")))
    make = {"ray": _ray, "postgres": _postgres, "s3": _s3}
    parts = [make[name](folder) for name in session.config.option.over]
    conftest.over = lambda data, env: {name: value for part in parts for name, value in part(data, env).items()}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    replaced = {REPLACES[name] for name in config.option.over}
    for item in items:
        for mark in item.iter_markers("local"):
            if mark.args[0].partition(":")[0] in replaced:
                item.add_marker(pytest.mark.skip(reason=mark.args[0]))


def pytest_sessionfinish() -> None:
    _started.close()


def _ray(folder: Path) -> Over:
    cluster = _started.enter_context(rays.running(folder))
    cluster.add(1, num_cpus=CPUS)
    same = {
        "ANTIPHON_EXECUTOR": "ray",
        "ANTIPHON_RAY_ADDRESS": cluster.address,
        "ANTIPHON_RAY_CPUS": str(SHARE),
        # `auto` would be all that the node carries.
        "ANTIPHON_WORKERS": "1",
    }
    # What a test puts into its server's environment is meant for the engines too.
    return lambda data, env: same | {"ANTIPHON_RAY_ENV": ",".join(env)}


def _postgres(folder: Path) -> Over:
    server = _started.enter_context(postgres.running(folder / "postgres"))
    urls: dict[Path, str] = {}

    def over(data: Path, env: Mapping[str, str]) -> dict[str, str]:
        if data not in urls:
            urls[data] = server.database()
        return {"ANTIPHON_STORE": urls[data], "ANTIPHON_LEASE": "2"}

    return over


def _s3(folder: Path) -> Over:
    server = _started.enter_context(storage.running())
    buckets: dict[Path, str] = {}

    def over(data: Path, env: Mapping[str, str]) -> dict[str, str]:
        if data not in buckets:
            buckets[data] = server.bucket()
        return server.environment(buckets[data])

    return over
