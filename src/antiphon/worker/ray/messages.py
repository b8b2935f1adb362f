"""Messages between the server and its bridge to Ray, each about one worker.

A message is a prefix of nine bytes (the worker's number, a kind, the body's length; little-endian) and a body: raw
bytes of frames for `DATA`, text for `LINE`, else JSON.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from typing import Any

import msgspec

_PREFIX = struct.Struct("<IBI")
#: Most bytes that are read at once.
PIECE = 1024 * 1024


class MessageKind(enum.IntEnum):
    """What a message's body is."""

    #: Both ways: bytes of frames.
    DATA = 0
    #: To the bridge, of worker 0: `Connect`.
    CONNECT = 1
    #: To the bridge: `StartWorker`.
    START = 2
    #: From the bridge: `StartProgress`.
    START_PROGRESS = 3
    #: From the bridge: `WorkerStarted`.
    STARTED = 4
    #: To the bridge: `EnsureFiles`.
    ENSURE_FILES = 5
    #: From the bridge: `FilesEnsured`.
    FILES_ENSURED = 6
    #: From the bridge: a line that the process printed.
    LINE = 7
    #: To the bridge: end the process at once. No body.
    KILL = 8
    #: From the bridge, the last of a worker: `WorkerEnded`.
    ENDED = 9
    #: From the bridge, of worker 0: the cluster's live nodes, a list of `Node`.
    NODES = 10


class Connect(msgspec.Struct):
    #: As `ray.init` takes it; None: the cluster that runs on this machine, or else a new one.
    address: str | None


class StartWorker(msgspec.Struct):
    """Starts a worker."""

    name: str
    #: The worker's part of a node; fractions are allowed.
    cpus: float
    gpus: float
    #: The folder on the node under which recordings are kept.
    folder: str
    #: Added to the node's environment for the worker and for what prepares it.
    environment: dict[str, str]
    #: `module:function` that is called on the node before the process starts, with `arguments`; None: nothing is.
    prepare: str | None
    arguments: dict[str, Any]
    #: Antiphon's version; a node with another one is refused.
    version: str


class EnsureFiles(msgspec.Struct):
    """Files that must be on the node: (folder, name, path on the server)."""

    ticket: int
    files: list[tuple[str, str, str]]


class FilesEnsured(msgspec.Struct):
    ticket: int
    #: Why the files could not be brought; None: they are on the node.
    error: str | None


class WorkerStarted(msgspec.Struct):
    pid: int
    node: str


class WorkerEnded(msgspec.Struct):
    #: How it ended, in words; what would help, if that is known.
    words: str
    hint: str | None = None


class Node(msgspec.Struct, frozen=True):
    """A live node of the cluster."""

    id: str
    name: str
    cpus: float
    gpus: float


def encode(worker: int, kind: MessageKind, body: bytes | str | msgspec.Struct | list[Node]) -> bytes:
    if isinstance(body, str):
        body = body.encode("utf-8", "replace")
    elif not isinstance(body, bytes):
        body = msgspec.json.encode(body)
    return _PREFIX.pack(worker, kind, len(body)) + body


class MessageDecoder:
    """Cuts a stream of bytes, in pieces of any size, into messages. It does not check them: both ends are our own."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, MessageKind, bytes]]:
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= _PREFIX.size:
            worker, kind, length = _PREFIX.unpack_from(self._buffer, at)
            end = at + _PREFIX.size + length
            if end > len(self._buffer):
                break
            yield worker, MessageKind(kind), bytes(self._buffer[at + _PREFIX.size : end])
            at = end
        del self._buffer[:at]
