"""The local channel: a worker as a child process of this one, over a socket pair."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from antiphon.domain import errors
from antiphon.worker import spawn
from antiphon.worker.channel import ChannelCallbacks, ChannelFactory

#: Seconds to wait for the last lines of a dead worker.
LAST_WORDS = 0.2
#: Bytes of standard error that are kept, and after which an unfinished line is passed on as it is.
TAIL_BYTES, LINE_BYTES = 4096, 2048


class Pipe(asyncio.Protocol):
    """The server's end of the socket."""

    def __init__(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._on_data, self._on_end = on_data, on_end
        #: Set when it is closed.
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._on_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self._on_end()


class Stderr(asyncio.Protocol):
    """The worker's standard error: passes every line on, and keeps the last ones to explain the worker's death."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._tail = self._line = b""
        #: Set at the end of file.
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        *whole, self._line = (self._line + data).split(b"\n")
        while len(self._line) > LINE_BYTES:
            whole.append(self._line[:LINE_BYTES])
            self._line = self._line[LINE_BYTES:]
        for line in whole:
            self._pass_on(line)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pass_on(self._line)
        self.ended.set()

    def last_line(self) -> str:
        """The last line that is not blank, at most 300 characters."""
        lines = [line for line in self._tail.decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1].strip()[:300] if lines else ""

    def _pass_on(self, line: bytes) -> None:
        if line.strip():
            self._on_line(line[:LINE_BYTES].decode("utf-8", "replace").rstrip())


class LocalChannel:
    """A `Channel`; made by `opener`."""

    node = None

    def __init__(
        self,
        process: spawn.ChildProcess,
        pipe: tuple[asyncio.WriteTransport, Pipe],
        stderr: tuple[asyncio.BaseTransport, Stderr],
    ) -> None:
        self._process = process
        (self._transport, self._pipe), (self._stderr_transport, self._stderr) = pipe, stderr

    @property
    def pid(self) -> int:
        return self._process.pid

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    async def ensure_files(self, params: Mapping[str, Any]) -> None:
        """Nothing to do: the process reads the server's own folders."""

    def exited(self) -> bool:
        return self._process.exited()

    def kill(self) -> None:
        self._process.kill()

    def abort(self) -> None:
        self._process.kill_and_wait()

    async def reap(self) -> str:
        status = await self._process.reap()
        # It never ends while a process that the worker started still holds the other end.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await self._stderr.ended.wait()
        words = self._stderr.last_line()
        return f"its process {spawn.describe(status)}" + (f"; it last said: {words}" if words else "")

    async def close(self) -> None:
        self._transport.abort()
        self._stderr_transport.close()
        await self._pipe.closed.wait()


async def start(
    callbacks: ChannelCallbacks, environment: Mapping[str, str] | None = None, module: str = spawn.CHILD
) -> LocalChannel:
    """Starts a child with `environment` added to ours. Raises `WorkerDied` if the system cannot start a process."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = spawn.ChildProcess(theirs.fileno(), environment, module)
        except OSError as e:
            ours.close()
            raise errors.WorkerDied(f"its process could not be started: {os.strerror(e.errno or 0)}") from e
    try:
        pipe = await loop.create_unix_connection(lambda: Pipe(callbacks.on_data, callbacks.on_end), sock=ours)
        stderr = await loop.connect_read_pipe(lambda: Stderr(callbacks.on_line), process.stderr)
    except BaseException:
        ours.close()
        process.kill_and_wait()
        raise
    return LocalChannel(process, pipe, stderr)


def opener(environment: Mapping[str, str] | None = None) -> ChannelFactory:
    """A factory of local channels, whose processes have `environment` added to ours."""
    return lambda callbacks: start(callbacks, environment)
