"""The bridge: the process beside the server that speaks with Ray.

The server starts it as `python -m antiphon.worker.ray.bridge DESCRIPTOR PARENT`. It carries bytes between the pipe and
the actors, without reading the frames in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from antiphon.worker.channel import StartProgress
from antiphon.worker.child import die_with
from antiphon.worker.ray import messages, node_join
from antiphon.worker.ray.actor import WorkerActor
from antiphon.worker.ray.messages import MessageKind, Node

#: Seconds after which an actor without a node is reported as waiting for one.
PATIENT = 2.0
#: Seconds that an actor gets to end its process and to report that.
END_PATIENCE = 3.0
#: Seconds between two queries of the cluster's nodes.
LOOK = 2.0


def main() -> NoReturn:
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    os.dup2(2, 1)
    os.set_inheritable(descriptor, False)
    # Ray prints, sends telemetry, and logs every answer that is not fetched; none of it is wanted here.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_IGNORE_UNHANDLED_ERRORS": "1"}
    logging.getLogger("ray").setLevel(logging.ERROR)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Bridge(socket.socket(fileno=descriptor)).live())
    sys.stderr.flush()
    os._exit(0)


class Bridge:
    """Ends when the server closes its end of the pipe; the actors end with it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._workers: dict[int, ActorHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ray: Any = None

    async def live(self) -> None:
        reader, self._writer = await asyncio.open_unix_connection(sock=self._sock)
        decoder = messages.MessageDecoder()
        while data := await reader.read(messages.PIECE):
            for worker, kind, body in decoder.feed(data):
                self._take(worker, kind, body)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_PATIENCE):
                await asyncio.to_thread(self._ray.shutdown)

    def send(self, worker: int, kind: MessageKind, body: Any) -> None:
        self._writer.write(messages.encode(worker, kind, body))

    def _take(self, worker: int, kind: MessageKind, body: bytes) -> None:
        if kind is MessageKind.CONNECT:
            self._ray = connected(msgspec.json.decode(body, type=messages.Connect).address)
            # Ray installs its own handlers, but the server ends this process.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self.spawn(self._watch_nodes())
        elif kind is MessageKind.START:
            handle = self._workers[worker] = ActorHandle(self, self._ray, worker)
            self.spawn(self._carry(handle, msgspec.json.decode(body, type=messages.StartWorker)))
        elif (known := self._workers.get(worker)) is not None:
            if kind is MessageKind.DATA:
                known.write(body)
            elif kind is MessageKind.KILL:
                self.spawn(known.end())
            elif kind is MessageKind.ENSURE_FILES:
                self.spawn(known.ensure_files(msgspec.json.decode(body, type=messages.EnsureFiles)))

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, handle: ActorHandle, request: messages.StartWorker) -> None:
        try:
            ended = await handle.live(request)
        except Exception as e:
            ended = messages.WorkerEnded(lost(e))
        await handle.give_back()
        del self._workers[handle.number]
        self.send(handle.number, MessageKind.ENDED, ended)

    async def _watch_nodes(self) -> None:
        told: list[Node] | None = None
        while True:
            with contextlib.suppress(Exception):
                found = sorted(node_of(n) for n in await asyncio.to_thread(self._ray.nodes) if n["Alive"])
                nodes = [node for _, node in found]
                if nodes != told:
                    told = nodes
                    self.send(0, MessageKind.NODES, nodes)
            await asyncio.sleep(LOOK)


class ActorHandle:
    """The actor of one worker."""

    def __init__(self, bridge: Bridge, ray: Any, number: int) -> None:
        self._bridge, self._ray, self.number = bridge, ray, number
        self._actor: Any = None
        self._writes = 0
        self._over = asyncio.Event()

    async def live(self, request: messages.StartWorker) -> messages.WorkerEnded:
        """Runs the worker; returns how it ended."""
        remote = self._ray.remote(WorkerActor).options(
            num_cpus=request.cpus, num_gpus=request.gpus, max_restarts=0, scheduling_strategy="SPREAD"
        )
        self._actor = await asyncio.to_thread(remote.remote)
        node = await self._placed(self._actor.begin.remote(msgspec.structs.asdict(request)), request)
        while True:
            for kind, body in await self._actor.read.remote():
                if kind is MessageKind.ENDED:
                    assert isinstance(body, messages.WorkerEnded)
                    return body
                if kind is MessageKind.STARTED:
                    body = messages.WorkerStarted(body.pid, node)
                self._bridge.send(self.number, kind, body)

    async def _placed(self, answer: Any, request: messages.StartWorker) -> str:
        begun = asyncio.wrap_future(answer.future())
        done, _ = await asyncio.wait({begun}, timeout=PATIENT)
        if not done:
            need = f"{request.cpus:g} CPU" + (f" and {request.gpus:g} GPU" if request.gpus else "")
            self._bridge.send(
                self.number, MessageKind.START_PROGRESS, StartProgress(f"waiting for a node with {need} free")
            )
        return str(await begun)

    def write(self, data: bytes) -> None:
        self._actor.write.remote(self._writes, data)
        self._writes += 1

    async def ensure_files(self, request: messages.EnsureFiles) -> None:
        try:
            names = [(folder, name) for folder, name, _ in request.files]
            for folder, name in await self._actor.missing.remote(names):
                path = next(p for f, n, p in request.files if (f, n) == (folder, name))
                await self._actor.put.remote(folder, name, await asyncio.to_thread(Path(path).read_bytes))
            error = None
        except FileNotFoundError:
            error = "its recording is not kept here any more; send it again"
        except Exception as e:
            error = f"its recording could not be brought to the node: {lost(e)}"
        self._bridge.send(self.number, MessageKind.FILES_ENSURED, messages.FilesEnsured(request.ticket, error))

    async def end(self) -> None:
        """Ends the process, and the actor if it does not report that."""
        if self._actor is not None:
            self._actor.kill.remote()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_PATIENCE):
                    await self._over.wait()
        await self.give_back()

    async def give_back(self) -> None:
        """Ends the actor, which frees its part of the node."""
        self._over.set()
        if self._actor is not None:
            with contextlib.suppress(Exception):
                await asyncio.to_thread(self._ray.kill, self._actor)


def connected(address: str | None) -> Any:
    """Connects Ray to the cluster; ends this process with a message to the operator if that fails."""
    try:
        import ray
    except ImportError:
        give_up("--executor ray needs Ray: pip install 'antiphon[ray]'")
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "namespace": "antiphon"}
    try:
        if address is not None:
            node_join.reach(address)
            node_join.join(address)
            ray.init(address=address, **quiet)
        else:
            try:
                ray.init(address="auto", **quiet)
            except ConnectionError:
                ray.init(address="local", include_dashboard=False, **quiet)
    except Exception as e:
        give_up(f"no Ray cluster at {address or 'this machine'}: {lost(e)}")
    return ray


def give_up(words: str) -> NoReturn:
    sys.stderr.write(words + "\n")
    sys.stderr.flush()
    os._exit(1)


def node_of(told: dict[str, Any]) -> tuple[str, Node]:
    resources = told.get("Resources") or {}
    node = Node(told["NodeID"], told["NodeManagerHostname"], resources.get("CPU", 0.0), resources.get("GPU", 0.0))
    return node.id, node


def lost(error: Exception) -> str:
    """One of Ray's errors, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else 'it gives no reason'}"[:300]


if __name__ == "__main__":
    main()
