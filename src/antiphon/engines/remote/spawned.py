"""Spawned server: a speech server that this worker starts, and that ends with the worker."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections import deque

import httpx

from antiphon.domain.engine import Phase
from antiphon.engines.remote.options import Options

#: Lines of its last output to keep for the operator; seconds between two health checks.
LINES, LOOK = 12, 0.25


class Spawned:
    """`vllm serve FOLDER --omni …` on a free port of loopback."""

    def __init__(self, options: Options) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        command = [options.command, "serve", options.spawn, "--omni", "--trust-remote-code"]
        if options.deploy_config:
            command += ["--deploy-config", options.deploy_config]
        command += [*options.arguments, "--host", "127.0.0.1", "--port", str(self.port)]
        self._said: deque[str] = deque(maxlen=LINES)
        guard = [sys.executable, "-m", "antiphon.engines.remote.process_guard", *command]
        self._process = subprocess.Popen(
            guard, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        threading.Thread(target=self._listen, name="spawned", daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.append(line.decode("utf-8", "replace").strip()[:300])

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def wait(self, seconds: float, phase: Phase) -> None:
        """Waits until the server responds. Raises `RuntimeError` with the server's last output."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if self.ended:
                raise RuntimeError(f"it ended with exit code {self._process.returncode}; {self.tail()}")
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=2.0, trust_env=False).is_success:
                    return
            except httpx.HTTPError:
                pass
            phase(f"starting: {self._said[-1][:100]}" if self._said else "starting")
            time.sleep(LOOK)
        raise RuntimeError(f"it did not answer within {seconds:g} s; {self.tail()}")

    def tail(self) -> str:
        return "it said last: " + " | ".join(self._said) if self._said else "it said nothing"

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
