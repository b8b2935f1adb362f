"""Readers that stopped reading: their connection is cut, so that what waits for them does not wait for ever.

An answer that is on its way costs memory until it is read. A client that reads slowly is served slowly; one that takes
nothing at all for a while has gone to sleep or means harm, and is ended as if the network had failed.
"""

from __future__ import annotations

import asyncio

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

log = structlog.get_logger("antiphon.http")


#: Bytes that wait inside the server for one connection before whoever writes to it has to wait, too.
WAITING = 16 * 1024


class Patience:
    """Watches one connection while its write buffer is full; `seconds` without a byte taken is the end of it."""

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        self._transport, self._seconds = transport, seconds
        self._left = transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def end(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        if self._transport.is_closing() and not self._transport.get_write_buffer_size():
            return
        left = self._transport.get_write_buffer_size()
        # While the buffer is over its mark nobody writes, so less of it means that somebody reads.
        if left < self._left:
            self._left = left
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)
            return
        log.info("cut off a reader that stopped reading", seconds=self._seconds, unread=left)
        self._transport.abort()


def http(seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol, impatient."""

    class Http(HttpToolsProtocol):
        patience: Patience | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            transport.set_write_buffer_limits(high=WAITING)

        def pause_writing(self) -> None:
            super().pause_writing()
            self.patience = Patience(self.transport, seconds)

        def resume_writing(self) -> None:
            super().resume_writing()
            _end(self)

        def connection_lost(self, exc: Exception | None) -> None:
            _end(self)
            super().connection_lost(exc)

    return Http


def websocket(seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's WebSocket protocol, impatient."""

    class WebSocket(WebSocketsSansIOProtocol):
        patience: Patience | None = None

        def pause_writing(self) -> None:
            super().pause_writing()
            self.patience = Patience(self.transport, seconds)

        def resume_writing(self) -> None:
            super().resume_writing()
            _end(self)

        def connection_lost(self, exc: Exception | None) -> None:
            _end(self)
            super().connection_lost(exc)

    return WebSocket


def _end(protocol: asyncio.Protocol) -> None:
    patience: Patience | None = getattr(protocol, "patience", None)
    if patience is not None:
        patience.end()
