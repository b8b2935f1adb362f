"""The Ray client, on the server's side: one bridge process, and a channel for each worker."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import structlog

from antiphon.domain import errors
from antiphon.worker import files, local
from antiphon.worker.channel import ChannelCallbacks, ChannelFactory, StartProgress
from antiphon.worker.ray import messages
from antiphon.worker.ray.messages import MessageKind, Node

log = structlog.get_logger("antiphon.ray")

BRIDGE = "antiphon.worker.ray.bridge"
#: Seconds to wait for the report that a killed worker has ended; its node may be gone.
REAP_PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class NodeShare:
    """The part of a node that one worker takes, and what it needs there."""

    cpus: float = 1.0
    gpus: float = 0.0
    #: Folder on the node in which recordings are kept, under `voices` and `uploads`.
    folder: Path = Path()
    environment: Mapping[str, str] = field(default_factory=dict)
    #: `module:function`, called on the node with `arguments` and `on_progress` before the process starts.
    prepare: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


class RayChannel:
    """A `Channel` to a process on a node."""

    def __init__(self, client: RayClient, number: int, callbacks: ChannelCallbacks) -> None:
        self._client, self.number, self._callbacks = client, number, callbacks
        self.pid: int | None = None
        self.node: str | None = None
        #: Done once the process runs; failed if it ended before.
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()
        self._words = ""
        self._tickets = itertools.count(1)
        self._ensuring: dict[int, asyncio.Future[str | None]] = {}

    def write(self, data: bytes) -> None:
        if not self._ended.is_set():
            self._client.send(self.number, MessageKind.DATA, data)

    async def ensure_files(self, params: Mapping[str, Any]) -> None:
        wanted = files.named(params)
        if not wanted:
            return
        if self._ended.is_set():
            raise errors.WorkerDied(self._words)
        ticket = next(self._tickets)
        answer = self._ensuring[ticket] = asyncio.get_running_loop().create_future()
        paths = [(str(folder), name, str(self._client.folders / folder / name)) for folder, name in wanted]
        self._client.send(self.number, MessageKind.ENSURE_FILES, messages.EnsureFiles(ticket, paths))
        try:
            error = await answer
        finally:
            self._ensuring.pop(ticket, None)
        if error is not None:
            raise errors.UnitFailed(f"This segment cannot be given to a worker: {error}")

    def exited(self) -> bool:
        return self._ended.is_set()

    def kill(self) -> None:
        if not self._ended.is_set():
            self._client.send(self.number, MessageKind.KILL, b"")

    def abort(self) -> None:
        self.kill()

    async def reap(self) -> str:
        self.kill()
        try:
            async with asyncio.timeout(REAP_PATIENCE):
                await self._ended.wait()
        except TimeoutError:
            return "its node does not answer"
        return self._words

    async def close(self) -> None:
        self._client.forget(self.number)

    # Messages from the bridge

    def take(self, kind: MessageKind, body: bytes) -> None:
        match kind:
            case MessageKind.DATA:
                self._callbacks.on_data(body)
            case MessageKind.LINE:
                self._callbacks.on_line(body.decode("utf-8", "replace"))
            case MessageKind.START_PROGRESS:
                self._callbacks.on_start_progress(msgspec.json.decode(body, type=StartProgress))
            case MessageKind.STARTED:
                where = msgspec.json.decode(body, type=messages.WorkerStarted)
                self.pid, self.node = where.pid, where.node
                if not self.started.done():
                    self.started.set_result(None)
            case MessageKind.FILES_ENSURED:
                ensured = msgspec.json.decode(body, type=messages.FilesEnsured)
                answer = self._ensuring.get(ensured.ticket)
                if answer is not None and not answer.done():
                    answer.set_result(ensured.error)
            case _:
                ended = msgspec.json.decode(body, type=messages.WorkerEnded)
                self.end(ended.words, ended.hint)

    def end(self, words: str, hint: str | None = None) -> None:
        """The process ended, or the connection to it did."""
        if self._ended.is_set():
            return
        self._words = words
        self._ended.set()
        for answer in self._ensuring.values():
            if not answer.done():
                answer.set_exception(errors.WorkerDied(words))
        if not self.started.done():
            died = errors.WorkerDied(words)
            died.hint = hint
            self.started.set_exception(died)
        else:
            self._callbacks.on_end()


class RayClient:
    """The connection to one cluster. The bridge starts with the first worker, and again after it died."""

    def __init__(self, address: str | None, folders: Path, on_nodes: Callable[[], None] = lambda: None) -> None:
        """`folders`: where `voices` and `uploads` are on this machine. `on_nodes` is called when `nodes` changed."""
        self._address, self.folders, self._on_nodes = address, folders, on_nodes
        #: The live nodes of the cluster; empty until they are known.
        self.nodes: tuple[Node, ...] = ()
        self._numbers = itertools.count(1)
        self._channels: dict[int, RayChannel] = {}
        self._bridge: local.LocalChannel | None = None
        self._said = ""
        self._connecting = asyncio.Lock()
        self._burying: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Starts the bridge unless it runs; raises `WorkerDied`."""
        async with self._connecting:
            if self._burying is not None:
                await self._burying
            if self._bridge is None:
                decoder = messages.MessageDecoder()
                callbacks = ChannelCallbacks(
                    lambda data: self._received(decoder, data), self._lost, self._line, lambda progress: None
                )
                self._bridge = await local.start(callbacks, module=BRIDGE)
                self.send(0, MessageKind.CONNECT, messages.Connect(self._address))

    def opener(self, name: str, share: NodeShare) -> ChannelFactory:
        request = messages.StartWorker(
            name=name, cpus=share.cpus, gpus=share.gpus, folder=str(share.folder), environment=dict(share.environment),
            prepare=share.prepare, arguments=dict(share.arguments), version=version("antiphon"),
        )  # fmt: skip
        return lambda callbacks: self._open(callbacks, request)

    async def close(self) -> None:
        """Ends the bridge, and with it every actor."""
        async with self._connecting:
            bridge, self._bridge = self._bridge, None
            if bridge is not None:
                await bridge.close()
                await bridge.reap()
            if self._burying is not None:
                await self._burying

    async def _open(self, callbacks: ChannelCallbacks, request: messages.StartWorker) -> RayChannel:
        await self.connect()
        channel = RayChannel(self, next(self._numbers), callbacks)
        self._channels[channel.number] = channel
        self.send(channel.number, MessageKind.START, request)
        try:
            await channel.started
        except BaseException:
            channel.kill()
            self.forget(channel.number)
            raise
        return channel

    # The pipe

    def send(self, number: int, kind: MessageKind, body: bytes | msgspec.Struct) -> None:
        if self._bridge is not None:
            self._bridge.write(messages.encode(number, kind, body))

    def forget(self, number: int) -> None:
        self._channels.pop(number, None)

    def _received(self, decoder: messages.MessageDecoder, data: bytes) -> None:
        for number, kind, body in decoder.feed(data):
            if kind is MessageKind.NODES:
                self.nodes = tuple(msgspec.json.decode(body, type=list[Node]))
                self._on_nodes()
            elif (channel := self._channels.get(number)) is not None:
                channel.take(kind, body)

    def _line(self, line: str) -> None:
        self._said = line
        log.info("ray says", line=line)

    def _lost(self) -> None:
        bridge, self._bridge = self._bridge, None
        if bridge is not None:
            self._burying = asyncio.create_task(self._bury(bridge), name="bury the bridge to Ray")

    async def _bury(self, bridge: local.LocalChannel) -> None:
        words = await bridge.reap()
        await bridge.close()
        _, _, said = words.partition("it last said: ")
        log.error("the way to Ray is lost", reason=said or words)
        self.nodes = ()
        for channel in tuple(self._channels.values()):
            channel.end(said or f"the way to Ray is lost: {words}")
        self._burying = None
