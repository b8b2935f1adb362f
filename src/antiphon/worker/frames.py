"""Frames: the protocol between the server and a worker, as JSON messages with a raw payload.

A frame is a prefix of twelve bytes (`ANT`, version, header length, payload length; little-endian), a header (the
message as JSON) and a payload (raw bytes, empty for most messages).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec

from antiphon.domain import engine, errors
from antiphon.domain.engine import Capabilities

MAGIC = b"ANT\x01"
PREFIX = struct.Struct("<4sII")
#: Bytes. A frame that announces more is refused before anything is kept for it.
MAX_HEADER = 1024 * 1024
MAX_PAYLOAD = 16 * 1024 * 1024


class Message(msgspec.Struct, tag_field="type", tag=str.lower):
    """The header of a frame."""


# From the server to the worker


class Load(Message):
    """The first message: build the engine `module:Class` with these options, load it, warm it."""

    engine: str
    options: dict[str, Any]


class Run(Message):
    """Compute a unit. `unit` is a serial number of this pipe, so that a unit's second try is never its first."""

    unit: int
    params: dict[str, Any]
    live: bool = False
    alone: bool = False
    spelled: bool = False


class Cancel(Message):
    """The unit is not wanted any more."""

    unit: int


class Stop(Message):
    """Finish the running units, close the engine, end."""


# From the worker to the server


class Phase(Message):
    """What the start is doing. `warming` is the engine's warm-up, every other name a part of loading."""

    name: str
    fraction: float | None = None


class Ready(Message):
    """Loaded and warm: units may come, as many at once as the capabilities have slots."""

    capabilities: Capabilities


class LoadFailed(Message):
    """Why the engine could not be loaded; the process ends after this. `hint` says what would help."""

    message: str
    hint: str | None = None


class Heartbeat(Message):
    """A sign of life, once a second. `rss` and `vram` in bytes; None: this process uses no GPU.

    `steps`: those of a batching engine so far; None: its engine is another."""

    rss: int
    vram: int | None = None
    steps: int | None = None


class Chunk(Message):
    """A piece of a unit's result, in the payload."""

    unit: int


class Progress(Message):
    """How far a long unit is; `fraction` is 0 to 1."""

    unit: int
    fraction: float


class Done(Message):
    """The unit is finished after `seconds` of computing; the payload is the last piece of its result."""

    unit: int
    seconds: float
    meta: dict[str, Any]


class Failed(Message):
    """The unit failed. `fatal`: the process cannot be trusted any more, and ends after this.

    `suspects`: all units of the step that failed, where it had several."""

    unit: int
    code: str
    message: str
    fatal: bool = False
    suspects: tuple[int, ...] = ()


ToWorker = Load | Run | Cancel | Stop
ToServer = Phase | Ready | LoadFailed | Heartbeat | Chunk | Progress | Done | Failed

T = TypeVar("T")

#: Each side understands only what the other side may send.
AT_WORKER: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker)
AT_SERVER: msgspec.json.Decoder[ToServer] = msgspec.json.Decoder(ToServer)

_encoder = msgspec.json.Encoder()


def encode(message: Message, payload: bytes | memoryview = b"") -> bytes:
    """The frame's bytes. `FrameError` if the message has no JSON form or a part is too long."""
    try:
        header = _encoder.encode(message)
    except (TypeError, ValueError, RecursionError) as e:
        raise errors.FrameError(f"a {type(message).__name__} message has no JSON form: {e}") from e
    _check(len(header), len(payload))
    return b"".join((PREFIX.pack(MAGIC, len(header), len(payload)), header, payload))


def pieces(chunk: engine.Chunk) -> Iterator[bytes | memoryview]:
    """An engine's chunk in pieces that fit into frames. `TypeError` if it has no bytes."""
    payload = chunk.payload
    if not isinstance(payload, bytes):
        raise TypeError(f"the engine gave a chunk of {type(payload).__name__}; it must be bytes")
    if len(payload) <= MAX_PAYLOAD:
        yield payload
    else:
        view = memoryview(payload)
        yield from (view[i : i + MAX_PAYLOAD] for i in range(0, len(view), MAX_PAYLOAD))


class Decoder(Generic[T]):
    """Cuts a stream of bytes, in pieces of any size, into frames. After an error it gives no more."""

    def __init__(self, headers: msgspec.json.Decoder[T]) -> None:
        self._headers: msgspec.json.Decoder[T] = headers
        self._buffer = bytearray()
        self._error: errors.FrameError | None = None

    def feed(self, data: bytes) -> Iterator[tuple[T, bytes]]:
        """Takes the next bytes; iterating gives the frames they complete, then raises `FrameError` at a bad one.

        At most one frame is kept between calls: a length over the bounds is refused as soon as its prefix is there."""
        if self._error is None:
            self._buffer += data
        return self._frames()

    def _frames(self) -> Iterator[tuple[T, bytes]]:
        try:
            while (frame := self._next()) is not None:
                yield frame
        except errors.FrameError as e:
            self._error = e
            self._buffer.clear()
            raise

    def _next(self) -> tuple[T, bytes] | None:
        if self._error is not None:
            raise self._error
        buffer = self._buffer
        if len(buffer) < PREFIX.size:
            if not MAGIC.startswith(buffer[: len(MAGIC)]):
                raise errors.FrameError(f"the stream has {bytes(buffer)!r} where a frame should begin")
            return None
        magic, header, payload = PREFIX.unpack_from(buffer)
        if magic != MAGIC:
            raise errors.FrameError(f"the stream has {magic!r} where a frame should begin")
        _check(header, payload)
        body, end = PREFIX.size + header, PREFIX.size + header + payload
        if len(buffer) < end:
            return None
        with memoryview(buffer) as view:
            try:
                message = self._headers.decode(view[PREFIX.size : body])
            except (ValueError, RecursionError) as e:
                raise errors.FrameError(f"a header is no message: {e}") from e
            content = bytes(view[body:end])
        del buffer[:end]
        return message, content


def _check(header: int, payload: int) -> None:
    if header > MAX_HEADER or payload > MAX_PAYLOAD:
        bound = f"{MAX_HEADER} + {MAX_PAYLOAD}"
        raise errors.FrameError(f"a frame of {header} + {payload} bytes is over the bound of {bound}")
