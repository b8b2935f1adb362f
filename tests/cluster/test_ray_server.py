"""A server whose workers are on a Ray cluster: what it tells them, and how many there are."""

from __future__ import annotations

from pathlib import Path

import psutil

from tests import plugins
from tests.cluster.rays import Rays
from tests.conftest import Start, wait_until


def on(nodes: Rays, *more: str) -> list[str]:
    return ["--executor", "ray", "--ray-address", nodes.address, *more]


def test_workers_find_the_named_variables_in_their_environment_and_no_others(nodes: Rays, serve: Start) -> None:
    args = on(nodes, "--workers", "1", "--ray-env", "TOLD", "--ray-env", "NOT_SET")
    server = serve("--model", "tone", *args, env={"TOLD": "this", "SECRET": "that"})
    (worker,) = server.workers()
    assert worker["node"]
    environment = psutil.Process(worker["pid"]).environ()
    assert environment["TOLD"] == "this"
    assert not {"SECRET", "NOT_SET"} & environment.keys()


def test_there_are_as_many_workers_as_the_nodes_carry(nodes: Rays, serve: Start) -> None:
    server = serve("--model", "tone", *on(nodes))

    def ready() -> int:
        return sum(worker["state"] == "ready" for worker in server.workers())

    wait_until(lambda: ready() == 3, "a worker on each")
    nodes.set(4)
    wait_until(lambda: ready() == 4, "one on the new node")
    nodes.kill(-1)
    wait_until(lambda: len(server.workers()) == ready() == 3, "none waits for the lost node")
    assert server.client.post("/tts", json={"text": "It goes on."}).status_code == 200


def test_models_work_at_the_same_time(nodes: Rays, serve: Start, tmp_path: Path) -> None:
    """Here they would take turns; on the nodes each worker has a part of its own."""
    module = Path(plugins.__file__).parent / "drawing_engines.py"
    env = plugins.installed(tmp_path / "site", module, {"painter": "Painter", "other": "Painter"})
    args = on(nodes, "--workers", "1", "--ray-env", "PYTHONPATH")
    server = serve("--model", "painter", "--model", "other", *args, env=env, ready=False)
    for name in ("painter", "other"):
        server.wait_ready(name)
        body = {"type": "image", "prompt": "slow", "n": 2, "steps": 100, "seed": 1, "model": name}
        assert server.client.post("/v1/jobs", json=body).status_code == 202
    # Before the first is so late that it would hold up nobody anyway.
    wait_until(lambda: server.health()["concurrent"] == 2, "both draw", 5)
