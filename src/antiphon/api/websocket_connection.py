"""WebSocket connection: uvicorn's protocol within bounds on what may wait to be read, to be sent and to be completed.

uvicorn parses whatever has come: every tiny message that fits into a read, and every ping, which it answers whether or
not the client reads the answers. Here frames are parsed while the route has read the last message and the client reads.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import structlog
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from antiphon.api.connection import PIECE, BoundedConnection
from antiphon.api.connection_limits import ConnectionLimits, Connections, Refusal

log = structlog.get_logger("antiphon.http")


class WebSocketConnection(BoundedConnection, WebSocketsSansIOProtocol):
    """One connection; `protocol` makes the class with its limits."""

    #: When the last byte of a message came that is not complete.
    _progress_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.begin()

    def data_received(self, data: bytes) -> None:
        self.hear(data)
        self.parse()

    def may_parse(self) -> bool:
        """While the route and the client keep up: the route with messages, the client with what is sent to it."""
        if self.transport.is_closing():
            return False
        if not self.handshake_initiated or self.close_sent:
            return True
        return self.handshake_complete and self.writable.is_set() and self.queue.empty()

    def parse_piece(self) -> None:
        piece, self.waiting = self.waiting[:PIECE], self.waiting[PIECE:]
        super().data_received(bytes(piece))
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse_handshake(self.conn.handshake_exc.__cause__ or self.conn.handshake_exc)
        elif self.conn.reader.buffer:
            self._progress_at = self.heard_at

    def _refuse_handshake(self, error: BaseException) -> None:
        """Answers what websockets takes for no handshake, such as one with a body; uvicorn would leave it open."""
        refusal = Refusal(HTTPStatus.BAD_REQUEST, f"Failed to open a WebSocket connection: {error}")
        log.info("refused a connection", status=refusal.status.value, why=refusal.message[:200])
        self.transport.write(refusal.answer())
        self.transport.close()

    def read_on(self, wanted: bool) -> None:
        if self.transport.is_closing():
            return
        if wanted and self.read_paused:
            self.transport.resume_reading()
        elif not wanted and not self.read_paused:
            self.transport.pause_reading()
        self.read_paused = not wanted

    def pause_writing(self) -> None:
        super().pause_writing()
        self.parse()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.parse()

    async def receive(self) -> Any:
        message = await self.queue.get()
        self.parse()
        return message

    async def send(self, message: Any) -> None:
        await super().send(message)
        # A handshake was accepted, or a close was sent: now what comes may be read.
        self.parse()

    # Messages in fragments

    def handle_text(self, event: Frame) -> None:
        self._progress_at = self.loop.time()
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        self._progress_at = self.loop.time()
        super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        self._progress_at = self.loop.time()
        if len(self.frames) < self.limits.fragments:
            super().handle_cont(event)
        else:
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"a message has at most {self.limits.fragments} fragments")

    def check(self, now: float) -> None:
        if self.read_paused or not (self.frames or self.conn.reader.buffer):
            self._progress_at = now
        elif now - self._progress_at > self.limits.body_seconds:
            self._fail(CloseCode.POLICY_VIOLATION, "the message was not completed in time")

    def _fail(self, code: CloseCode, reason: str) -> None:
        if not self.close_sent and not self.transport.is_closing():
            self.conn.fail(code, reason)
            self.handle_parser_exception()


def protocol(bounds: ConnectionLimits, connections: Connections) -> type[asyncio.Protocol]:
    """uvicorn's WebSocket protocol within these limits."""

    class WebSocket(WebSocketConnection):
        limits, open_connections = bounds, connections

    return WebSocket
