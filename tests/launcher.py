"""Launcher: a process that has loaded the server's modules and forks the servers and commands of the tests.

To load them takes two thirds of the processor time of a start, and hundreds of servers and commands start in the tests. A
forked one runs the command line from its first line to the end of its process. Only where its interpreter began is another
place, so `Launcher.fits` says which need an interpreter of their own.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
#: Bytes of one request: a command line and an environment.
REQUEST = 1024 * 1024
#: How the variables begin that are read when they are used: Antiphon's own, pytest's, which change with each test, those
#: of a terminal and a download, and those of the engines in tests/plugins, which run in workers. What PYTHONPATH adds, a
#: forked process puts before its modules itself.
READ_LATE = (
    "ANTIPHON_", "PYTEST_", "COLUMNS", "NO_COLOR", "HF_ENDPOINT", "HTTPS_PROXY", "GATED_", "GRADUAL_", "REVERSING_",
    "PYTHONPATH",
)  # fmt: skip
#: Modules that an interpreter imports when it begins.
EARLY = ("sitecustomize.py", "usercustomize.py")


class Forked:
    """A forked process; what the tests use of `subprocess.Popen`."""

    def __init__(self, pid: int, stdout: IO[str] | None, reports: IO[str]) -> None:
        self.pid, self.stdout, self._reports = pid, stdout, reports
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self._look(None if deadline is None else max(0.0, deadline - time.monotonic()))) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired("antiphon serve", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, patience: float | None) -> int | None:
        if self.returncode is None and select.select([self._reports], [], [], patience)[0]:
            self.returncode = int(self._reports.readline())  # Empty, and an error, if the launcher itself has died.
            self._reports.close()
        return self.returncode


class Launcher:
    """The launcher as a test sees it; it starts with the first server and ends with `close`."""

    def __init__(self) -> None:
        #: By their environments: what a test loads may set a variable for the rest of the run.
        self._running: dict[frozenset[tuple[str, str]], tuple[subprocess.Popen[bytes], socket.socket]] = {}

    def fits(self, env: Mapping[str, str]) -> bool:
        """Whether a process with this environment can be forked: an interpreter, its allocator and its libraries read
        variables when they begin, so only those of `READ_LATE` may differ from those of the tests."""
        added = env.get("PYTHONPATH", "").split(os.pathsep)
        early = any(Path(folder, name).exists() for folder in added if folder for name in EARLY)
        return not early and _others(env) == _others(os.environ)

    def fork(self, arguments: Sequence[str], env: Mapping[str, str], errors: IO[str]) -> Forked:
        """A server with these arguments after `antiphon`; `errors` is its standard error."""
        out, stdout = os.pipe()
        with open(os.devnull) as nothing, open(stdout) as written:
            streams = (nothing.fileno(), written.fileno(), errors.fileno())
            pid, reports = self._fork(arguments, env, os.getcwd(), streams)
        return Forked(pid, open(out), reports)

    def run(
        self, arguments: Sequence[str], env: Mapping[str, str], cwd: str, given: bytes, timeout: float
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs a command to its end, as `subprocess.run` does; `given` is its standard input."""
        with contextlib.ExitStack() as stack:
            source, out, errors = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
            source.write(given)
            source.seek(0)
            pid, reports = self._fork(arguments, env, cwd, (source.fileno(), out.fileno(), errors.fileno()))
            made = Forked(pid, None, reports)
            try:
                code = made.wait(timeout)
            except subprocess.TimeoutExpired:
                made.kill()
                made.wait()
                raise
            for file in (out, errors):
                file.seek(0)
            return subprocess.CompletedProcess(list(arguments), code, out.read(), errors.read())

    def _fork(
        self, arguments: Sequence[str], env: Mapping[str, str], cwd: str, streams: tuple[int, int, int]
    ) -> tuple[int, IO[str]]:
        """The id of a process with these standard streams, and where its exit status will be told."""
        kind = frozenset(_others(env).items())
        if kind not in self._running:
            self._running[kind] = self._begin({"PYTHONPATH": os.environ.get("PYTHONPATH", ""), **dict(kind)})
        reports, report = os.pipe()
        request = json.dumps({"arguments": arguments, "env": dict(env), "cwd": cwd}).encode()
        try:
            socket.send_fds(self._running[kind][1], [request], [*streams, report])
        finally:
            os.close(report)
        said = open(reports, buffering=1)  # noqa: SIM115 - `Forked` closes it
        return int(said.readline()), said

    def close(self) -> None:
        """Ends the launchers, and the servers that still live."""
        for process, control in self._running.values():
            control.close()
            process.wait()
        self._running.clear()

    def _begin(self, env: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, REQUEST)
        with theirs:
            command = [sys.executable, "-m", "tests.launcher", str(theirs.fileno())]
            process = subprocess.Popen(
                command, cwd=ROOT, env=env, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL
            )
        return process, ours


def _others(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that an interpreter or a library may read when it begins."""
    return {name: value for name, value in env.items() if not name.startswith(READ_LATE)}


# What the launcher's own process runs


class _Forks:
    """Takes requests, forks, reports ends."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        #: The open end of each child's report, and its process id, by a descriptor that is readable when it has ended.
        self._children: dict[int, tuple[int, int]] = {}

    def run(self) -> list[str] | None:
        """Returns twice and more: in each child with its arguments, in the launcher at its end with None."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._control:
                    self._ended(key.fd)
                elif (arguments := self._next()) is not None:
                    return arguments
                elif self._control.fileno() < 0:
                    return None

    def _next(self) -> list[str] | None:
        request, descriptors, _, _ = socket.recv_fds(self._control, REQUEST, 4)
        if not request:
            self._close(kill=True)
            return None
        *streams, report = descriptors
        wanted = json.loads(request)
        child = os.fork()
        if child == 0:
            self._close()
            return _become(wanted, streams, report)
        for stream in streams:
            os.close(stream)
        os.write(report, f"{child}\n".encode())
        watch = os.pidfd_open(child)
        self._children[watch] = report, child
        self._selector.register(watch, selectors.EVENT_READ)
        return None

    def _ended(self, watch: int) -> None:
        report, child = self._children.pop(watch)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self._selector.unregister(watch)
        os.close(watch)
        with contextlib.suppress(BrokenPipeError):  # Nobody asks any more.
            os.write(report, f"{code}\n".encode())
        os.close(report)

    def _close(self, *, kill: bool = False) -> None:
        """Closes every descriptor of the launcher; a child has none of them, as after an exec."""
        self._control.close()
        self._selector.close()
        for watch, (report, child) in self._children.items():
            if kill:
                os.kill(child, signal.SIGKILL)
            os.close(watch)
            os.close(report)


def _python_path() -> list[str]:
    return [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]


def _become(wanted: dict[str, Any], streams: list[int], report: int) -> list[str]:
    """Makes this child what an exec would have made it."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for descriptor in (*streams, report):
        os.close(descriptor)
    had = _python_path()
    os.environ.clear()
    os.environ.update(wanted["env"])
    wanted_path = _python_path()
    sys.path[1:] = [*wanted_path, *(folder for folder in sys.path[1:] if folder not in {*had, *wanted_path})]
    os.chdir(wanted["cwd"])
    return list(wanted["arguments"])


class _Exit:
    """Ends a forked process when its threads have ended and all that is called at an exit has been: it would only free
    what it shares with the launcher, page by page."""

    def __init__(self) -> None:
        self._launcher, self._status = os.getpid(), 1
        # What is registered first is called last, so this comes before the imports.
        atexit.register(self._leave)

    def run(self, main: Callable[[], None]) -> None:
        try:
            main()
            self._status = 0
        except SystemExit as e:
            self._status = e.code if isinstance(e.code, int) else int(e.code is not None)
            raise

    def _leave(self) -> None:
        if os.getpid() != self._launcher:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError):  # Nobody reads any more.
                    stream.flush()
            os._exit(self._status)


def main() -> None:
    ends = _Exit()
    # FastAPI loads it with the first route.
    import pydantic.v1  # noqa: F401

    # Whatever `antiphon serve` loads before it reads its options, and the other commands.
    import antiphon.cli.exit_codes
    import antiphon.cli.main
    import antiphon.cli.serve

    # A collection would touch, and so copy, every page that a child shares with this process.
    gc.collect()
    gc.freeze()
    arguments = _Forks(socket.socket(fileno=int(sys.argv[1]))).run()
    if arguments is not None:
        sys.argv = [antiphon.cli.main.__file__, *arguments]
        ends.run(antiphon.cli.main.main)


if __name__ == "__main__":
    main()
