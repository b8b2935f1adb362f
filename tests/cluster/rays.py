"""A real Ray cluster on this machine: a head that runs nothing, and nodes that come and go."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import psutil

from antiphon.worker.ray import node_join
from tests import ports
from tests.conftest import wait_until

#: Bytes; the least that Ray takes is 75 MiB.
OBJECTS = 80 * 1024 * 1024
#: The head's id, which Ray's autoscaler for tests wants to know beforehand.
HEAD = "f" * 51 + "00000"


#: What a description of a cluster must have, and this one needs not.
EMPTY = (
    "cluster_synced_files", "initialization_commands", "setup_commands", "head_setup_commands",
    "worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands", "rsync_exclude", "rsync_filter",
)  # fmt: skip


class Rays:
    """Its address, and its nodes; the head, on which the servers are, is not one of them."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.nodes: list[Any] = []

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self, count: int = 1, **more: Any) -> None:
        for _ in range(count):
            resources = {"num_cpus": 1, "object_store_memory": OBJECTS} | more
            self.nodes.append(self._cluster.add_node(wait=False, **resources))
        # A node that was killed counts until its health checks have failed.
        self._cluster.wait_for_nodes(timeout=90)

    def raylets(self) -> list[int]:
        """The nodes' process ids, in order."""
        return [node.all_processes["raylet"][0].process.pid for node in self.nodes]

    def kill(self, index: int) -> None:
        """Ends a node as a power cut would: its raylet and all that it started."""
        raylet = psutil.Process(self.raylets()[index])
        node = self.nodes.pop(index)
        victims = [raylet, *raylet.children(recursive=True)]
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        psutil.wait_procs(victims, timeout=10)
        self._cluster.remove_node(node, allow_graceful=False)  # What is left of it, and from its list.

    def set(self, count: int) -> None:
        """Has that many nodes."""
        self.add(max(0, count - len(self.nodes)))
        while len(self.nodes) > count:
            self._cluster.remove_node(self.nodes.pop(), allow_graceful=True)


def environment(found: MutableMapping[str, str]) -> None:
    found["RAY_USAGE_STATS_ENABLED"] = "0"
    # Else a token of another day's in the home directory decides.
    found.setdefault("RAY_AUTH_MODE", "disabled")
    # What a worker's process finds; the broken engines of the tests are not installed.
    found["PYTHONPATH"] = str(Path(__file__).parents[2])


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Rays]:
    environment(os.environ)
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": OBJECTS, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield Rays(cluster)
    finally:
        cluster.shutdown()


@contextlib.contextmanager
def scaling(most: int) -> Iterator[str]:
    """The address of a cluster without nodes, besides its head, to which Ray's own autoscaler adds as many as are
    asked for, at most so many of one CPU each; those that idle for some seconds go."""
    environment(os.environ)
    port = ports.steady()
    node: dict[str, Any] = {"CPU": 1, "object_store_memory": OBJECTS}
    config = {
        "cluster_name": "tests",
        "max_workers": most,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": 0.1,
        "provider": {
            "type": "fake_multinode",
            "head_node_id": HEAD,
            "gcs_address": f"127.0.0.1:{port}",
            "use_node_id_as_ip": True,
            # Its nodes are whole as they start; nobody logs in to them.
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "worker_liveness_check": False,
        },
        "auth": {"ssh_user": "nobody"},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "min_workers": 0, "max_workers": 0},
            "node": {"resources": node, "node_config": {}, "min_workers": 0, "max_workers": most},
        },
    } | {key: [] for key in EMPTY}
    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        (path := Path(folder, "autoscaling.json")).write_text(json.dumps(config))
        command = [
            str(Path(sys.executable).with_name("ray")),
            "start",
            "--head",
            "--block",
            f"--port={port}",
            "--node-ip-address=127.0.0.1",
            "--num-cpus=0",
            f"--object-store-memory={OBJECTS}",
            "--include-dashboard=false",
            f"--temp-dir={folder}",
            f"--autoscaling-config={path}",
        ]
        env = os.environ | {
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_FAKE_CLUSTER": "1",
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
        }
        head = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        address = f"127.0.0.1:{port}"
        try:
            wait_until(lambda: _answers(address), "the head is there")
            yield address
        finally:
            victims = [*psutil.Process(head.pid).children(recursive=True), psutil.Process(head.pid)]
            for victim in victims:
                with contextlib.suppress(psutil.NoSuchProcess):
                    victim.kill()
            head.wait(10)
            psutil.wait_procs(victims, timeout=10)


def _answers(address: str) -> bool:
    try:
        node_join.reach(address)
    except OSError:
        return False
    return node_join.is_node(address)


def nodes_at(address: str) -> int:
    """Live nodes of a cluster, its head among them."""
    from ray._raylet import GcsClient

    return sum(node.state == 0 for node in GcsClient(address=address).get_all_node_info(timeout=10).values())
