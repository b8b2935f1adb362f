"""Joining a cluster: makes this machine a node of it, since Ray lets only nodes speak with a cluster and ends the
process of any other client.

The node has no CPUs and no GPUs, so nothing is placed on it; it ends with this process.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

import psutil

from antiphon.worker.child import die_with

#: Seconds to connect to the cluster's head, for its answer, and until it knows the new node.
CONNECT, ANSWER, JOIN = 5.0, 10.0, 60.0
#: Bytes of Ray's object store, which is not used; Ray refuses less.
OBJECTS = 80 * 1024 * 1024
#: Seconds between two checks.
LOOK = 0.2


def reach(address: str) -> None:
    """Raises OSError if no server listens at the address; Ray itself takes minutes to find out."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT).close()


def join(address: str) -> None:
    """Returns once this machine is a node. Raises OSError with Ray's message if it cannot become one."""
    if is_node(address):
        return
    with tempfile.TemporaryFile() as said:
        command = [str(Path(sys.executable).with_name("ray")), "start", f"--address={address}", "--num-cpus=0"]
        command += ["--num-gpus=0", f"--object-store-memory={OBJECTS}", "--disable-usage-stats", "--block"]
        parent = psutil.Process().pid
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            # Ray ends the processes that it started when it is asked to end, not when it is killed.
            preexec_fn=lambda: die_with(parent, signal.SIGTERM),
        )
        deadline = time.monotonic() + JOIN
        while not is_node(address):
            if started.poll() is not None or time.monotonic() > deadline:
                started.terminate()
                raise OSError(f"this machine could not join it: {_last(said)}")
            time.sleep(LOOK)


def is_node(address: str) -> bool:
    """Whether this machine is a live node of the cluster."""
    from ray._raylet import GcsClient  # There is no other way to ask before this machine is a node.

    with contextlib.suppress(ImportError):
        # As ray.init does: a token in a file is used even if no setting asks for one.
        from ray._private.authentication import authentication_token_setup as tokens

        tokens.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    here = {each.address for of_one in psutil.net_if_addrs().values() for each in of_one}
    nodes: Any = GcsClient(address=address).get_all_node_info(timeout=ANSWER)
    # 0 is ALIVE in Ray's protocol (gcs.proto, GcsNodeInfo.GcsNodeState).
    return any(node.state == 0 and node.node_manager_address in here for node in nodes.values())


def _last(said: IO[bytes]) -> str:
    said.seek(0)
    lines = [line.strip() for line in said.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it gives no reason"
