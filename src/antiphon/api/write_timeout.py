"""Write timeout: aborts the connection of a client that stopped reading.

An answer costs memory until the client has read it. A client that reads slowly is served slowly; one that reads nothing
for a while hangs or means harm, and loses its connection as if the network had failed.
"""

from __future__ import annotations

import asyncio

import structlog

log = structlog.get_logger("antiphon.http")

#: Bytes in the server's write buffer of one connection from which on the writer waits.
WRITE_BUFFER = 16 * 1024


class WriteTimeout:
    """Watches one connection while its write buffer is full; aborts it after `seconds` in which no byte was read."""

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        self._transport, self._seconds = transport, seconds
        self._left = transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._check)

    def cancel(self) -> None:
        self._timer.cancel()

    def _check(self) -> None:
        if self._transport.is_closing() and not self._transport.get_write_buffer_size():
            return
        left = self._transport.get_write_buffer_size()
        # While the buffer is over its limit the server does not write, so a smaller buffer means that the client reads.
        if left < self._left:
            self._left = left
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._check)
            return
        log.info("cut off a reader that stopped reading", seconds=self._seconds, unread=left)
        self._transport.abort()


class TimedWrites(asyncio.Protocol):
    """Adds a write timeout to a protocol of uvicorn's."""

    transport: asyncio.Transport
    #: Without a byte read.
    seconds: float
    write_timeout: WriteTimeout | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self.write_timeout = WriteTimeout(self.transport, self.seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def _cancel(self) -> None:
        if self.write_timeout is not None:
            self.write_timeout.cancel()
