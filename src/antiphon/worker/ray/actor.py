"""The actor on a node: runs a worker's child process there, and carries frames between it and the bridge."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import socket
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from antiphon.domain import errors
from antiphon.worker import files, local
from antiphon.worker.channel import ChannelCallbacks, StartProgress
from antiphon.worker.ray.messages import MessageKind, StartWorker, WorkerEnded, WorkerStarted

#: Seconds after its last use after which a recording is deleted from the node.
KEPT = 48 * 3600.0

Event = tuple[MessageKind, Any]


class WorkerActor:
    """One worker, from start to end. The bridge calls every method, in the actor's event loop."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._news = asyncio.Event()
        self._channel: local.LocalChannel | None = None
        self._folder = Path()
        self._written = 0
        self._early: dict[int, bytes] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._gone = asyncio.Event()

    async def begin(self, fields: dict[str, Any]) -> str:
        """Begins to start the process; returns the node's name. `read` reports what follows."""
        request = StartWorker(**fields)
        self._folder = Path(request.folder)
        self._spawn(self._live(request))
        return socket.gethostname()

    async def read(self) -> list[Event]:
        """The events since the last call, in order; waits for the first."""
        await self._news.wait()
        events, self._events = self._events, []
        self._news.clear()
        return events

    async def write(self, number: int, data: bytes) -> None:
        """Sends frames to the process. `number` counts the calls from 0, since calls may overtake each other."""
        self._early[number] = data
        while (next_one := self._early.pop(self._written, None)) is not None:
            self._written += 1
            if self._channel is not None:
                self._channel.write(next_one)

    async def missing(self, names: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The files (folder, name) that are not here; the others count as used now."""
        return [each for each in names if not self._touch(*each)]

    async def put(self, folder: str, name: str, data: bytes) -> None:
        """Stores a file."""
        await asyncio.to_thread(_put, self._path(folder, name), data)

    async def kill(self) -> None:
        if self._channel is not None:
            self._channel.kill()
        else:
            self._end("stopped before it started")

    # The process

    async def _live(self, request: StartWorker) -> None:
        try:
            if request.version != (here := version("antiphon")):
                raise errors.WorkerDied(
                    f"the node {socket.gethostname()} has Antiphon {here}, the server {request.version}; "
                    "install the same version everywhere"
                )
            # This process serves one worker only. Fetching its files may need a token or a mirror's address, too.
            os.environ.update(request.environment)
            await asyncio.to_thread(_sweep, self._folder)
            if request.prepare is not None:
                await _function(request.prepare)(**request.arguments, on_progress=self._start_progressed)
            callbacks = ChannelCallbacks(
                on_data=lambda data: self._tell(MessageKind.DATA, data),
                on_end=self._gone.set,
                on_line=lambda line: self._tell(MessageKind.LINE, line),
                on_start_progress=self._start_progressed,
            )
            self._channel = await local.start(callbacks)
        except Exception as e:
            words = e.message if isinstance(e, errors.AntiphonError) else f"{type(e).__name__}: {e}"
            self._end(words, e.hint if isinstance(e, errors.WorkerDied) else None)
            return
        self._tell(MessageKind.STARTED, WorkerStarted(self._channel.pid, socket.gethostname()))
        await self._gone.wait()
        words = await self._channel.reap()
        await self._channel.close()
        self._end(words)

    def _start_progressed(self, progress: StartProgress) -> None:
        self._tell(MessageKind.START_PROGRESS, progress)

    def _end(self, words: str, hint: str | None = None) -> None:
        self._tell(MessageKind.ENDED, WorkerEnded(words, hint))

    def _tell(self, kind: MessageKind, body: Any) -> None:
        self._events.append((kind, body))
        self._news.set()

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Files

    def _path(self, folder: str, name: str) -> Path:
        if not files.is_name(folder, name):
            raise ValueError(f"not a file of a unit: {folder!r}/{name!r}")
        return self._folder / folder / name

    def _touch(self, folder: str, name: str) -> bool:
        try:
            os.utime(self._path(folder, name), follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _sweep(folder: Path) -> None:
    """Deletes recordings that were not used for `KEPT` seconds."""
    limit = time.time() - KEPT
    for sort in files.FOLDERS:
        (folder / sort).mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in (folder / sort).iterdir():
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime < limit:
                    path.unlink()


def _function(reference: str) -> Callable[..., Any]:
    module, _, name = reference.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
