"""A server that is killed, flooded and drained, and what is asked of it meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.http import Connection
from benchmarks.servers import end, wait

FINAL = ("succeeded", "failed", "cancelled")


@dataclass
class Server:
    """`antiphon serve` on data that outlives it."""

    data: Path
    args: tuple[str, ...]
    env: dict[str, str]
    process: subprocess.Popen[str] = field(init=False)
    port: int = field(init=False, default=0)

    def start(self) -> float:
        """Returns the seconds until it accepts jobs."""
        began = time.monotonic()
        command = [sys.executable, "-m", "antiphon.cli.main", "serve", "--port", str(self.port)]
        command += ["--data-dir", str(self.data), "--log-level", "warning", *self.args]
        with (self.data / "log").open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | self.env
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if "listens on" not in line:
            raise RuntimeError(f"the server did not start: {(self.data / 'log').read_text()[-2000:]}")
        self.port = int(line.split()[-1].rpartition(":")[2])
        wait(f"http://127.0.0.1:{self.port}/readyz")
        return time.monotonic() - began

    def kill(self) -> None:
        self.process.kill()
        self._ended()

    def stop(self) -> int:
        end(self.process)
        self._ended()
        return self.process.returncode

    def term(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def _ended(self) -> None:
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    @property
    def rss(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)


def server(*args: str, **env: str) -> contextlib.AbstractContextManager[Server]:
    """A fresh one; the keywords are `ANTIPHON_…` variables without the prefix."""
    return serving(args, {f"ANTIPHON_{name.upper()}": value for name, value in env.items()})


@contextlib.contextmanager
def serving(args: tuple[str, ...], env: dict[str, str]) -> Iterator[Server]:
    """A fresh one, with this in its environment; it may be killed."""
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        made = Server(Path(folder), args, env)
        made.start()
        try:
            yield made
        finally:
            if made.process.poll() is None:
                made.stop()


async def get(connection: Connection, path: str) -> Any:
    return json.loads((await connection.request("GET", path)).body)


async def submit(connection: Connection, text: str, **fields: Any) -> dict[str, Any] | None:
    """The accepted job; None if it was refused."""
    body = json.dumps({"input": text, **fields}).encode()
    answer = await connection.request("POST", "/v1/jobs", body)
    made: dict[str, Any] = json.loads(answer.body)
    return made if answer.status == 202 else None


async def ended(connection: Connection, job_id: str, every: float = 0.02) -> dict[str, Any]:
    while True:
        job: dict[str, Any] = await get(connection, f"/v1/jobs/{job_id}")
        if job.get("status") in FINAL:
            return job
        await asyncio.sleep(every)


def tts(text: str) -> bytes:
    return json.dumps({"text": text}).encode()


@dataclass(frozen=True)
class Row:
    """One line of the table; `holds` says whether the promise was kept."""

    promise: str
    what: str
    figure: str
    holds: bool
