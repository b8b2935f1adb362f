"""Systemd notifications over a real datagram socket: ready, keep-alive, stopping."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from tests.conftest import PATIENCE, Start


def test_ready_alive_and_stopping(serve: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "s"))
        supervisor.settimeout(PATIENCE)
        env = {"NOTIFY_SOCKET": str(tmp_path / "s"), "WATCHDOG_USEC": "400000"}
        server = serve("--model", "tone", env=env, ready=False)
        first = supervisor.recv(4096).decode().splitlines()
        assert first == ["READY=1", f"STATUS=Antiphon listens on {server.base}"]
        assert [supervisor.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        server.process.send_signal(signal.SIGTERM)
        while (said := supervisor.recv(4096)) == b"WATCHDOG=1":
            pass
        assert said.decode().splitlines()[0] == "STOPPING=1"
        assert server.stop() == 0
