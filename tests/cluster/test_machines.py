"""A cluster of machines that share nothing but a network: a server that is no node, nodes that fall silent."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cluster import machines, rays
from tests.cluster.machines import Machine
from tests.cluster.test_two_servers import text
from tests.cluster.test_two_servers_storage import hertz_of, upload
from tests.conftest import wait_until

PORT, RAY = 7860, 6379
BIN = Path(sys.executable).parent
TOKEN = "0123456789abcdef" * 4


@dataclass
class Server:
    """As the tests of one machine know it."""

    client: httpx.Client
    log: Path

    def get(self, path: str) -> Any:
        with_patience = self.client.get(path)
        return with_patience.json()

    def ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    @property
    def ids(self) -> set[str]:
        return {f"{worker['node']}/{worker['pid']}" for worker in self.get("/v1/workers")["data"]}


def ray(machine: Machine, folder: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
    command = [str(BIN / "ray"), "start", f"--node-ip-address={machine.address}", "--block", *arguments]
    command.append(f"--object-store-memory={rays.OBJECTS}")
    machine.start(*command, log=folder / f"{machine.name}.log", env=env)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[dict[str, Machine]]:
    machines.needed()
    with machines.network("head", "nodea", "nodeb", "serv", private=(tmp_path / "node",)) as found:
        head = found["head"]
        ray(head, tmp_path, "--head", f"--port={RAY}", "--num-cpus=0", "--include-dashboard=false", env=env())
        for name in ("nodea", "nodeb"):
            ray(found[name], tmp_path, f"--address={head.address}:{RAY}", "--num-cpus=1", env=env())
        yield found


def env() -> dict[str, str]:
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}


@pytest.fixture
def server(site: dict[str, Machine], tmp_path: Path) -> Iterator[Server]:
    """On a machine that is no node; it knows the cluster's token."""
    command = [str(BIN / "python"), "-m", "antiphon.cli.main", "serve", "--host", "0.0.0.0", "--insecure"]
    command += ["--port", str(PORT), "--data-dir", str(tmp_path / "data"), "--model", "tone", "--executor", "ray"]
    command += ["--ray-address", f"{site['head'].address}:{RAY}", "--ray-folder", str(tmp_path / "node")]
    command += ["--model-option", "tone:delay=0.3", "--heartbeat-timeout", "3"]
    log = tmp_path / "server.log"
    site["serv"].start(*command, log=log, env=env())
    with httpx.Client(base_url=f"http://{site['serv'].address}:{PORT}", timeout=10) as client:
        made = Server(client, log)
        wait_until(made.ready, "it speaks", 60)
        wait_until(lambda: sum(w["state"] == "ready" for w in made.get("/v1/workers")["data"]) == 2, "on two nodes", 60)
        yield made


def ended(server: Server, job: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        told: dict[str, Any] = server.get(f"/v1/jobs/{job}")
        return told if told["status"] in ("succeeded", "failed", "cancelled") else None

    return dict(wait_until(look, "the job ends", 90))


@pytest.mark.timeout(400)
def test_a_server_joins_the_cluster_and_a_node_may_fall_silent(server: Server, site: dict[str, Machine]) -> None:
    # What it speaks with lies on the nodes' own disks, where nobody but they could have put it.
    assert upload(server, "Anna").status_code == 200  # type: ignore[arg-type]
    body = {"input": "This is Anna.", "voice": "Anna", "model": "tone", "response_format": "wav"}
    assert hertz_of(server.client.post("/v1/audio/speech", json=body)) == pytest.approx(523, rel=0.03)

    job = server.client.post("/v1/jobs", json={"input": text("the job", 40), "response_format": "wav"}).json()
    wait_until(lambda: server.get(f"/v1/jobs/{job['id']}")["units"]["done"] >= 4, "both work")
    # The cable is out: no connection is closed, nobody says anything.
    site["nodea"].unplug()
    assert ended(server, job["id"])["status"] == "succeeded"
    began = time.monotonic()
    assert server.client.get("/health").status_code == 200
    assert time.monotonic() - began < 5
    said = server.log.read_text()
    assert "no heartbeat for 3 s" in said or "ActorDiedError" in said
    site["nodea"].plug()


@pytest.mark.timeout(400)
def test_who_does_not_know_the_token_is_told(site: dict[str, Machine], tmp_path: Path) -> None:
    command = [str(BIN / "python"), "-m", "antiphon.cli.main", "serve", "--port", str(PORT), "--model", "tone"]
    command += ["--data-dir", str(tmp_path / "data"), "--executor", "ray"]
    command += ["--ray-address", f"{site['head'].address}:{RAY}"]
    log = tmp_path / "server.log"
    site["serv"].start(*command, log=log, env={"HOME": str(tmp_path), "RAY_AUTH_MODE": "disabled"})
    wait_until(lambda: "no Ray cluster at" in log.read_text() and "oken" in log.read_text(), "it is said", 60)
