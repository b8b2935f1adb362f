"""HTTP connection: uvicorn's protocol within bounds, so that no client costs memory before anybody knows whose it is.

uvicorn parses whatever has come, at once: every header field, and every request that a client has sent ahead. Here the
bytes are parsed head by head. While a request is answered, what follows it stays as bytes, and nothing more is read.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from http import HTTPStatus

import httptools
import structlog
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from antiphon.api.connection import NOTHING, PIECE, BoundedConnection
from antiphon.api.connection_limits import ConnectionLimits, Connections, Refusal

log = structlog.get_logger("antiphon.http")

#: Seconds and bytes for which a refused client is still listened to. A connection that is closed while the client
#: sends is reset, and the client would never see why.
LINGER, LINGER_BYTES = 2.0, 64 * 1024 * 1024
#: Refused connections that are listened to at the same time; any more are cut off without an answer.
MOST_LINGERING = 64
#: Bytes of a chunk's head and end: its size, and two line ends.
CHUNK_HEAD = 16
END_OF_HEAD = b"\r\n\r\n"

BAD_REQUEST = Refusal(HTTPStatus.BAD_REQUEST, "This is not a valid HTTP/1.1 request")
SLOW_HEAD = Refusal(HTTPStatus.REQUEST_TIMEOUT, "The head of the request did not come within the time for it")
SLOW_BODY = Refusal(HTTPStatus.REQUEST_TIMEOUT, "Nothing came of the request's body for too long; send it again")


class Part(Enum):
    """What the parser reads next."""

    NOTHING = auto()
    HEAD = auto()
    BODY = auto()


class Stop(Exception):
    """Ends the parsing of a request that is over a limit."""


class Flow(FlowControl):
    """uvicorn's flow control, which does not read on while bytes wait to be parsed."""

    blocked = False

    def resume_reading(self) -> None:
        if not self.blocked:
            super().resume_reading()


class HttpConnection(BoundedConnection, HttpToolsProtocol):
    """One connection; `protocol` makes the class with its limits."""

    flow: Flow
    part = Part.NOTHING
    #: Refused connections that are listened to.
    lingering: set[HttpConnection]
    refusal: Refusal | None = None
    _refused_at = 0.0
    _discarded = 0
    #: When the connection, or after an answer its next request, began to be waited for; and when its head began.
    _idle_at = 0.0
    _head_at = 0.0
    #: Bytes of the head so far; of the body still to come (None: in chunks); of what chunks have beside their data.
    _head = 0
    _body_left: int | None = 0
    _extras = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport)
        self.begin()
        self._idle_at = self.loop.time()
        address = self.client[0] if self.client else "local"
        refusal = self.open_connections.enter(address)
        if refusal is None:
            self.counted = address
        else:
            self.refuse(refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lingering.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.refusal is not None:
            self._discarded += len(data)
            if self._discarded > LINGER_BYTES:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        self.hear(data)
        self.parse()

    # Parsing

    def may_parse(self) -> bool:
        """Not beyond the end of a request that is not answered yet."""
        return not (self.transport.is_closing() or (self.part is Part.NOTHING and self._answering))

    def parse_piece(self) -> None:
        whole, piece, part = self.waiting, self._piece(), self.part
        self.waiting = whole[len(piece) :]
        try:
            self.parser.feed_data(piece)
            self._count(part, len(piece))
        except httptools.HttpParserUpgrade as e:
            self.waiting = whole[e.args[0] :]
            if self._should_upgrade():
                self._upgrade()
        except (httptools.HttpParserError, Stop):
            self.refuse(self.refusal or BAD_REQUEST)

    def read_on(self, wanted: bool) -> None:
        """Reads on also while a request is answered, to notice that the client has gone, until bytes wait."""
        if self.waiting:
            self.flow.blocked = True
            self.flow.pause_reading()
        elif self.flow.blocked:
            self.flow.blocked = False
            if self.cycle is None or len(self.cycle.body) <= HIGH_WATER_LIMIT:
                self.flow.resume_reading()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _piece(self) -> memoryview:
        """The next bytes for the parser, which rarely reach into the next request."""
        if self.part is Part.BODY:
            return self.waiting[: PIECE if self._body_left is None else max(1, self._body_left)]
        piece = self.waiting[:PIECE]
        end = bytes(piece).find(END_OF_HEAD)
        return piece if end < 0 else piece[: end + len(END_OF_HEAD)]

    def _count(self, part: Part, size: int) -> None:
        """Counts a piece that was parsed, and which began in that part of a request."""
        if part is Part.BODY:
            self._extras = max(0, self._extras + size) if self._body_left is None else 0
            if self._extras > self.limits.chunk_extras:
                self._stop(HTTPStatus.BAD_REQUEST, "The chunks of the body have too long extensions or trailers")
        elif self.part is not Part.BODY:
            self._head += size
            if self._head > self.limits.head:
                self._stop(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    f"The head of the request has more than {self.limits.head} bytes",
                )

    def _stop(self, status: HTTPStatus, message: str) -> None:
        self.refusal = Refusal(status, message)
        raise Stop

    def on_message_begin(self) -> None:
        self.part, self._head_at = Part.HEAD, self.loop.time()
        self._head = self._body_left = self._extras = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.url:
            self._stop(HTTPStatus.REQUEST_URI_TOO_LONG, f"The URL has more than {self.limits.url} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.part is Part.BODY:
            return  # A trailer: the request is being answered, so its fields must not change.
        super().on_header(name, value)
        if len(self.headers) > self.limits.fields:
            self._stop(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"The request has more than {self.limits.fields} header fields",
            )

    def on_headers_complete(self) -> None:
        self.part = Part.BODY
        names = dict(self.headers)
        self._body_left = None if b"transfer-encoding" in names else int(names.get(b"content-length", 0))
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        self._extras -= CHUNK_HEAD

    def on_body(self, body: bytes) -> None:
        if self._body_left is None:
            self._extras -= len(body)
        else:
            self._body_left -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.part = Part.NOTHING
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # What nobody has read of the body; uvicorn keeps it until the next request.
        self.cycle.body.clear()
        self._idle_at = self.loop.time()
        if self.waiting and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self.parse()

    # Upgrade to a WebSocket

    def _upgrade(self) -> None:
        """Hands the connection over, with what came behind the handshake."""
        if any(len(name) + len(value) + 2 > self.limits.url for name, value in self.headers):
            message = f"A header field of a WebSocket's handshake has more than {self.limits.url} bytes"
            self.refuse(Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message))
            return
        rest, counted = bytes(self.waiting), self.counted
        self.end()
        self.counted = None
        self.flow.blocked = False
        self.flow.resume_reading()
        self.handle_websocket_upgrade()
        socket = self.transport.get_protocol()
        assert isinstance(socket, BoundedConnection)
        socket.counted = counted
        if rest:
            socket.data_received(rest)

    # Refusal and time limits

    def refuse(self, refusal: Refusal) -> None:
        """Answers and closes; only closes if another answer has begun."""
        log.info("refused a connection", status=refusal.status.value, why=refusal.message)
        self.refusal, self.waiting = refusal, NOTHING
        self._refused_at = self.loop.time()
        self._unset_keepalive_if_required()
        begun = self._answering and (self.cycle.response_started or bool(self.pipeline))
        if self._answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if begun or len(self.lingering) >= MOST_LINGERING:
            self.transport.abort()
            return
        self.lingering.add(self)
        self.transport.write(refusal.answer())
        self.transport.write_eof()
        self.flow.blocked = False
        self.flow.resume_reading()

    def check(self, now: float) -> None:
        if self.refusal is not None:
            if now - self._refused_at > LINGER:
                self.transport.abort()
        elif self.part is Part.HEAD:
            if now - self._head_at > self.limits.head_seconds:
                self.refuse(SLOW_HEAD)
        elif self.part is Part.BODY:
            self._check_body(now)
        elif not self._answering and now - self._idle_at > self.limits.head_seconds:
            self.transport.close()

    def _check_body(self, now: float) -> None:
        if not self._answering:
            # Nobody reads the rest of a body that was answered already.
            if now - self._idle_at > self.limits.body_seconds:
                self.transport.close()
        elif self.flow.read_paused or self.cycle.waiting_for_100_continue:
            self.heard_at = now
        elif now - self.heard_at > self.limits.body_seconds:
            self.refuse(SLOW_BODY)


def protocol(bounds: ConnectionLimits, connections: Connections) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol within these limits."""

    class Http(HttpConnection):
        limits, open_connections, lingering = bounds, connections, set()

    return Http
