"""The number of workers on a Ray cluster: it follows the nodes, the queue and the other servers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cluster import rays
from tests.cluster.rays import Rays
from tests.cluster.test_two_servers import submit, text
from tests.conftest import Server, Start, wait_until

COMMON = ("--model", "tone", "--executor", "ray")


def ready(server: Server) -> int:
    return sum(worker["state"] == "ready" for worker in server.workers())


@pytest.mark.timeout(400)
def test_the_queue_brings_workers_and_rays_autoscaler_their_nodes(serve: Start) -> None:
    scale = ("--workers", "1-3", "--scale-seconds", "3", "--scale-down", "3")
    with rays.scaling(3) as address:
        server = serve(*COMMON, "--ray-address", address, *scale, "--model-option", "tone:delay=0.5")
        # There was no node: the first worker brought one.
        assert (ready(server), rays.nodes_at(address)) == (1, 2)
        job = submit(server, text("the job", 60))
        wait_until(lambda: len(server.workers()) == 3, "three are wanted")
        # Two that are still to come are no trouble.
        assert server.health()["models"][0]["state"] == "ready"
        wait_until(lambda: ready(server) == 3, "and work", 60)
        assert server.wait_job(job["id"], patience=60)["status"] == "succeeded"
        wait_until(lambda: ready(server) == len(server.workers()) == 1, "two go when all is done")
        wait_until(lambda: rays.nodes_at(address) == 2, "and their nodes, after a while", 60)


def test_servers_share_the_nodes(serve: Start, database: str, nodes: Rays) -> None:
    common = (*COMMON, "--ray-address", nodes.address, "--store", database, "--lease", "2")
    one = serve(*common, "--server-name", "one")
    wait_until(lambda: ready(one) == 3, "one has all three nodes")
    two = serve(*common, "--server-name", "two")
    wait_until(lambda: (ready(one), ready(two)) == (2, 1), "they share")
    nodes.add(1)
    wait_until(lambda: (ready(one), ready(two)) == (2, 2), "the new node goes to whoever has less")
    one.kill()
    wait_until(lambda: ready(two) == 4, "what a dead server had goes to the other")
    nodes.kill(-1)
    wait_until(lambda: ready(two) == len(two.workers()) == 3, "it has no more than the nodes carry")


def test_a_span_of_workers_needs_a_cluster() -> None:
    command = [sys.executable, "-m", "antiphon.cli.main", "serve", "--model", "tone", "--workers", "1-3"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert ran.returncode != 0
    assert "needs --executor ray" in ran.stderr
