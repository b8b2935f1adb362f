"""Everything of a cluster is killed while jobs come in: `make bench-cluster`, shorter."""

from __future__ import annotations

import pytest
from benchmarks.reliability import cluster

SEED = 11


@pytest.mark.timeout(400)
def test_nothing_is_lost_doubled_or_wrong_whatever_is_killed() -> None:
    row = cluster.chaos(SEED, jobs=150, seconds=20.0)
    assert row.holds, f"{row.what}: {row.figure}"
    # Each kind of fault has happened.
    for fault in ("worker", "node", "server", "connections", "database", "storage"):
        assert f"× {fault}" in row.what
