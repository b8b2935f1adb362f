"""What every test may use: a real server in its own process, on its own port, with its own data."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.launcher import Forked, Launcher

# Some tests load models in their own process; workers switch this off by themselves.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# An example that the machine held up for a moment is no failure.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")

#: Seconds until a condition that must come is given up; far more than it takes, for a shared machine is slow at times.
PATIENCE = 30.0


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Polls until `condition()` is true and returns its value; fails by name, so that a hang is a message."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"not within {patience} s: {what}")
        time.sleep(0.01)


@dataclass
class Server:
    """A running `antiphon serve`."""

    process: subprocess.Popen[str] | Forked
    base: str
    data: Path
    args: list[str]
    env: dict[str, str]
    log: Path
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        limits = httpx.Limits(max_connections=300, max_keepalive_connections=300)
        self.client = httpx.Client(base_url=self.base, timeout=60, trust_env=False, limits=limits)

    @property
    def port(self) -> int:
        return int(self.base.rpartition(":")[2])

    def health(self) -> dict[str, Any]:
        return dict(self.client.get("/health").json())

    def wait_ready(self, model: str | None = None, patience: float = PATIENCE) -> None:
        def ready() -> bool:
            health = self.health()
            if model is None:
                return bool(health["model_loaded"])
            return any(m["name"] == model and m["state"] == "ready" for m in health["models"])

        wait_until(ready, f"{model or 'a model'} ready: {self.log.read_text()[-1000:]}", patience)

    def wait_whole(self) -> None:
        """Until all workers are ready, not only the first."""
        wait_until(lambda: self.health()["status"] == "ok", f"all workers ready: {self.log.read_text()[-1000:]}")

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(self.client.get(f"/v1/jobs/{job_id}").json())

    def wait_job(self, job_id: str, patience: float = PATIENCE) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["status"] in ("succeeded", "failed", "cancelled") else None

        return dict(wait_until(ended, f"job {job_id} ends", patience))

    def workers(self) -> list[dict[str, Any]]:
        return list(self.client.get("/v1/workers").json()["data"])

    def kill(self) -> None:
        """As the power would."""
        self.process.kill()
        self.process.wait()
        self._close()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()
        self._close()
        return self.process.returncode

    def _close(self) -> None:
        self.client.close()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def lines(self) -> list[dict[str, Any]]:
        """The server's log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


Start = Callable[..., Server]


def _usual(data: Path, env: Mapping[str, str]) -> dict[str, str]:
    return {}


#: Options as environment that every server gets, by its data directory and by what else its environment gets:
#: tests/cluster/over.py runs whole suites over other parts.
over: Callable[[Path, Mapping[str, str]], dict[str, str]] = _usual


def surroundings(data: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a server, and of a command that works on what it stored."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
    return ours | over(data, env or {}) | dict(env or {})


_launcher = Launcher()


def pytest_unconfigure() -> None:
    _launcher.close()


def launch(
    data: Path, *args: str, env: dict[str, str] | None = None, ready: bool = True, fresh: bool = False
) -> Server:
    """Starts a server; `ready=False` returns as soon as it listens, `fresh` gives it an interpreter of its own."""
    data.mkdir(parents=True, exist_ok=True)
    log = data / "server.log"
    command = ["serve", "--port", "0", "--data-dir", str(data), *args]
    if "--drain-seconds" not in args:
        # Most tests end while something runs that nobody will wait for.
        command += ["--drain-seconds", "2"]
    whole = surroundings(data, env)
    process: subprocess.Popen[str] | Forked
    with log.open("a") as errors:
        if fresh or not _launcher.fits(whole):
            command = [sys.executable, "-m", "antiphon.cli.main", *command]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=whole)
        else:
            process = _launcher.fork(command, whole, errors)
    assert process.stdout is not None
    line = process.stdout.readline()
    if "listens on" not in line:
        process.kill()
        process.wait()
        process.stdout.close()
        pytest.fail(f"the server did not start: {line}{log.read_text()[-3000:]}")
    server = Server(process, line.split()[-1], data, list(args), env or {}, log)
    if ready:
        server.wait_ready()
    return server


def command_bytes(
    *args: str, env: Mapping[str, str], cwd: Path | None = None, given: bytes = b"", timeout: float = 60
) -> subprocess.CompletedProcess[bytes]:
    """Runs `antiphon ARGS` to its end with exactly this environment and `given` as its standard input."""
    if _launcher.fits(env):
        return _launcher.run(args, env, str(cwd or Path.cwd()), given, timeout)
    line = [sys.executable, "-m", "antiphon.cli.main", *args]
    return subprocess.run(line, env=env, cwd=cwd, input=given, capture_output=True, timeout=timeout, check=False)


def command(
    *args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The same, whose output is text; by default with the environment of the tests."""
    done = command_bytes(*args, env=os.environ if env is None else env, cwd=cwd)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Start]:
    """Starts servers that end with the test: `serve("--model", "tone")`; again with the same `data` after a kill."""
    with contextlib.ExitStack() as stack:
        count = 0

        def start(
            *args: str, data: Path | None = None, env: dict[str, str] | None = None, ready: bool = True
        ) -> Server:
            nonlocal count
            count += 1
            server = launch(data or tmp_path / f"data{count}", *args, env=env, ready=ready)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="module")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the tone engine and no delay, shared by a module's tests."""
    server = launch(tmp_path_factory.mktemp("tone"), "--model", "tone", "--workers", "2")
    server.wait_whole()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def espeak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with espeak, shared by a module's tests."""
    server = launch(tmp_path_factory.mktemp("espeak"), "--model", "espeak", "--workers", "2")
    server.wait_whole()
    yield server
    server.stop()
