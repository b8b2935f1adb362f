"""A child process: started with a pipe, ended together with all that it started, reaped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import IO

#: Seconds that a process gets to end by itself once its pipe is closed, so that we see its own exit status.
EXIT_GRACE = 0.5
#: Seconds that the kernel gets to end a killed process; a driver can block that for ever.
KILL_PATIENCE = 5.0
_POLL = 0.005
#: The module that a worker process runs.
CHILD = "antiphon.worker.child"


class ChildProcess:
    """`python -m MODULE DESCRIPTOR PARENT`, leader of a process group of its own."""

    def __init__(self, descriptor: int, environment: Mapping[str, str] | None = None, module: str = CHILD) -> None:
        """Starts it with `descriptor` as its pipe and `environment` added to ours; raises OSError.

        Blocks for the milliseconds of an exec. The child dies with the calling thread, to which the kernel binds its
        parent-death signal."""
        # -P: modules must not be imported from the directory in which the server was started.
        command = [sys.executable, "-P", "-m", module, str(descriptor), str(os.getpid())]
        self._popen = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=0,
            pass_fds=(descriptor,), env={**os.environ, **environment} if environment else None, process_group=0,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def stderr(self) -> IO[bytes]:
        assert self._popen.stderr is not None
        return self._popen.stderr

    def exited(self) -> bool:
        """Whether it has ended. It stays a zombie, so that its process id is not reused yet."""
        reaped = self._popen.returncode is not None
        return reaped or os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def kill(self) -> None:
        """Ends it and all that it started."""
        if self._popen.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def kill_and_wait(self) -> None:
        """Ends it, and blocks until it is gone."""
        self.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(KILL_PATIENCE)

    async def reap(self) -> int | None:
        """Waits for its end, by force after `EXIT_GRACE`; its exit status, None if not even that ends it."""
        if not await until(self.exited, EXIT_GRACE):
            self.kill()
            if not await until(self.exited, KILL_PATIENCE):
                return None
        self.kill()  # Processes that it started may still live.
        return self._popen.wait()


async def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Waits for a condition; returns whether it became true within `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_POLL)
    return True


def describe(status: int | None) -> str:
    """An exit status in words."""
    if status is None:
        return "does not end even when it is killed"
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
