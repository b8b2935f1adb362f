"""Machines of the tests' own: network namespaces of this one, each with an address, a cable that can be pulled out, and
folders that the others do not see."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import rays

_numbers = itertools.count(2)


def needed() -> None:
    """Skips a test that cannot have any."""
    if os.getuid() != 0 or shutil.which("ip") is None:
        pytest.skip("machines are network namespaces: they need root, and `ip` (Debian: apt-get install iproute2)")


@dataclass
class Machine:
    name: str
    address: str
    #: Folders that are its own.
    private: tuple[Path, ...]
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *command: str, log: Path, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Runs a command there until the machine goes."""
        script = "".join(f"mkdir -p {each} && mount -t tmpfs tmpfs {each} && " for each in self.private)
        # Ray looks for nodes of its machine among all processes that it sees.
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        inside = ["ip", "netns", "exec", self.name, *own, "sh", "-c", f'{script} exec "$@"', "sh"]
        with log.open("ab") as out:
            made = subprocess.Popen([*inside, *command], stdout=out, stderr=out, env=os.environ | (env or {}))
        self._started.append(made)
        return made

    def unplug(self) -> None:
        """From now on nobody hears of it, and it of nobody."""
        _ip("link", "set", f"v{self.name}", "down")

    def plug(self) -> None:
        _ip("link", "set", f"v{self.name}", "up")

    def end(self) -> None:
        """As a power cut does."""
        told = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False).stdout
        for pid in told.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for process in self._started:
            process.wait(20)
        _ip("netns", "delete", self.name)


@contextlib.contextmanager
def network(*names: str, private: tuple[Path, ...] = ()) -> Iterator[dict[str, Machine]]:
    """Machines that see each other, and are seen from here."""
    rays.environment(os.environ)
    number = next(_numbers)
    switch, base = f"atph{os.getpid() % 10_000}x{number}"[:15], f"10.{os.getpid() % 200 + 20}.{number}"
    made: dict[str, Machine] = {}
    with contextlib.ExitStack() as stack:
        _ip("link", "add", switch, "type", "bridge")
        stack.callback(_ip, "link", "delete", switch)
        _ip("address", "add", f"{base}.1/24", "dev", switch)
        _ip("link", "set", switch, "up")
        for place, name in enumerate(names, start=2):
            space = f"{name}{os.getpid() % 10_000}x{number}"[:14]
            machine = Machine(space, f"{base}.{place}", (Path(tempfile.gettempdir(), "ray"), *private))
            _ip("netns", "add", space)
            stack.callback(machine.end)
            _ip("link", "add", f"v{space}", "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", f"v{space}", "master", switch, "up")
            _ip("-n", space, "address", "add", f"{machine.address}/24", "dev", "eth0")
            for each in ("lo", "eth0"):
                _ip("-n", space, "link", "set", each, "up")
            _ip("-n", space, "route", "add", "default", "via", f"{base}.1")
            made[name] = machine
        yield made


def _ip(*arguments: str) -> Any:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
