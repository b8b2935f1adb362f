"""Connections within bounds: real sockets on loopback, uvicorn's server, and an application of a few lines."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import uvicorn
import uvloop

from antiphon.api import http_connection, websocket_connection
from antiphon.api.connection_limits import ConnectionLimits, Connections
from antiphon.api.proxies import TrustedProxies

LIMITS = ConnectionLimits()
#: Seconds after which a test is given up.
PATIENCE = 20.0
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
#: Frames of a client: masked with zeros.
EMPTY_TEXT, EMPTY_CONTINUATION = b"\x01\x80\0\0\0\0", b"\x00\x80\0\0\0\0"


class Application:
    """Answers each request with its path and the length of its body; a WebSocket echoes when it may."""

    def __init__(self) -> None:
        self.requests = 0
        self.open = 0
        self.most_open = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.requests += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await (self._http if scope["type"] == "http" else self._websocket)(scope, receive, send)
        finally:
            self.open -= 1

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        size, more = 0, scope["path"] != "/unread"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size, more = size + len(message["body"]), message.get("more_body", False)
        await self.go_on.wait()
        answer = f"{scope['path']} {size} {len(scope['headers'])}\n".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        await send({"type": "http.response.body", "body": answer})

    async def _websocket(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await self.go_on.wait()
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            await send({"type": "websocket.send", "text": f"{len(message['text'])}"})


def small(sock: socket.socket) -> socket.socket:
    """A socket for which the kernel keeps little, so that less has to be sent until somebody must wait."""
    for side in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        sock.setsockopt(socket.SOL_SOCKET, side, 64 * 1024)
    return sock


class Listening:
    """A server of this process; `port` is where it listens."""

    def __init__(self, limits: ConnectionLimits, connections: Connections) -> None:
        self.app, self.connections = Application(), connections
        self.clients: list[Client] = []
        self.socket = small(socket.create_server(("127.0.0.1", 0)))
        config = uvicorn.Config(
            self.app,
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
            http=http_connection.protocol(limits, connections),
            ws=websocket_connection.protocol(limits, connections),
        )
        self.server = uvicorn.Server(config)
        self.server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    @property
    def protocols(self) -> list[Any]:
        return list(self.server.server_state.connections)

    async def connect(self) -> Client:
        sock = small(socket.socket())
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        client = Client(*await asyncio.open_connection(sock=sock))
        self.clients.append(client)
        return client


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def pour(self, data: bytes, most: int) -> int:
        """Sends it again and again, at most `most` bytes, until the server takes no more or answers."""
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < most and not self.reader._buffer:  # type: ignore[attr-defined]
                self.writer.write(data)
                sent += len(data)
                try:
                    await asyncio.wait_for(self.writer.drain(), 0.5)
                except TimeoutError:
                    break
        return sent

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        return await self.reader.read()


@contextlib.asynccontextmanager
async def listening(
    limits: ConnectionLimits = LIMITS, most: int = 1000, each: int = 1000, proxies: tuple[str, ...] = ()
) -> AsyncIterator[Listening]:
    found = Listening(limits, Connections(most, each, TrustedProxies(proxies)))
    serving = asyncio.create_task(found.server.serve([found.socket]))
    try:
        async with asyncio.timeout(PATIENCE):
            while not found.server.started:
                await asyncio.sleep(0.005)
            yield found
    finally:
        found.app.go_on.set()
        for client in found.clients:
            client.writer.transport.abort()
        found.server.should_exit = True
        await serving


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def on_uvloop(test: Callable[..., Any]) -> Callable[..., None]:
    """Runs a test in the loop of the real server, whose transports are other ones."""

    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        uvloop.run(test(*args, **named))

    return run


@on_uvloop
async def test_an_ordinary_client_notices_nothing() -> None:
    async with listening() as server:
        client = await server.connect()
        for n in range(3):
            await client.send(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" % n + b"a" * 200_000)
            answer = await client.reader.readuntil(b"0\r\n\r\n")
            assert b"/%d 200000 2\n" % n in answer
            # What was parsed is not held.
            assert server.protocols[0].waiting.obj == b""
        chunks = b"".join(b"%x;why=not\r\n%s\r\n" % (n, b"b" * n) for n in range(1, 3000))
        head = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.send(head + chunks + b"0\r\nTrailer: ignored\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await client.reader.readuntil(b"/next")
        assert b"/c %d 2\n" % sum(range(1, 3000)) in answer


@on_uvloop
async def test_endless_headers_are_refused_in_plain_words() -> None:
    async with listening() as server:
        client = await server.connect()
        await client.send(b"GET / HTTP/1.1\r\n")
        sent = await client.pour(b"X-Endless: " + b"a" * 1000 + b"\r\n", 50_000_000)
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 431 "), answer[:100]
        assert b"header fields" in answer or b"head of the request" in answer
        assert sent < 5_000_000
        assert server.app.requests == 0
        client.writer.close()
        await until(lambda: not server.protocols)


@pytest.mark.parametrize(
    ("piece", "status"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000, b"431"),
        (b"GET /" + b"a" * 20_000, b"414"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200, b"431"),
        (b"\r\n" * 100_000, b"431"),
        (b"\0\1\2 nonsense \r\n\r\n", b"400"),
        (b"GET http://[::1 HTTP/1.1\r\n\r\n", b"400"),
        ("GET /é HTTP/1.1\r\n\r\n".encode(), b"400"),
        (UPGRADE + b"Cookie: " + b"a" * 9000 + b"\r\n\r\n", b"431"),
        (UPGRADE.replace(b"/ws", "/é".encode()) + b"\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;" + b"a" * 30_000, b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 5000, b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", b"400"),
    ],
    ids=[
        "value",
        "url",
        "fields",
        "lines",
        "binary",
        "address",
        "letters",
        "cookie",
        "socket",
        "chunk",
        "trailer",
        "both",
    ],
)
@on_uvloop
async def test_what_no_client_needs_is_refused(piece: bytes, status: bytes) -> None:
    async with listening() as server:
        client = await server.connect()
        await client.send(piece)
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 " + status), answer[:200]
        assert answer.isascii()
        assert b"text/plain" in answer
        assert answer.endswith(b"\n")
        assert answer.count(b"HTTP/1.1 4") == 1


@on_uvloop
async def test_requests_sent_ahead_wait_as_bytes_and_are_answered_in_order() -> None:
    async with listening() as server:
        server.app.go_on.clear()
        client = await server.connect()
        count = 5000
        sending = asyncio.create_task(client.send(b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % n for n in range(count))))
        await until(lambda: server.app.requests == 1 and server.protocols[0].flow.read_paused)
        connection = server.protocols[0]
        assert not connection.pipeline
        assert server.app.requests == 1
        server.app.go_on.set()
        for n in range(count):
            assert (await client.reader.readuntil(b"0\r\n\r\n")).endswith(b"\n/%d 0 0\n\r\n0\r\n\r\n" % n)
        await sending
        assert server.app.most_open == 1


@on_uvloop
async def test_the_server_stops_reading_what_is_sent_ahead() -> None:
    async with listening() as server:
        server.app.go_on.clear()
        client = await server.connect()
        sent = await client.pour(b"GET / HTTP/1.1\r\n\r\n" * 2000, 200_000_000)
        # What the kernel's buffers and one read take.
        assert sent < 20_000_000
        assert len(server.protocols[0].waiting) <= 2**20
        assert server.app.requests == 1


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"", b""),
        (b"\r\n", b""),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"HTTP/1.1 408 "),
        (b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc", b"HTTP/1.1 408 "),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"HTTP/1.1 408 "),
    ],
    ids=["nothing", "line", "head", "body", "chunks"],
)
@on_uvloop
async def test_what_is_sent_by_half_is_given_up(sent: bytes, answered: bytes) -> None:
    async with listening(replace(LIMITS, head_seconds=0.4, body_seconds=0.4)) as server:
        client = await server.connect()
        await client.send(sent)
        answer = await client.rest()
        assert answer[:13] == answered
        client.writer.close()
        await until(lambda: not server.protocols)
        await until(lambda: server.app.open == 0)


@on_uvloop
async def test_a_head_that_trickles_is_given_up() -> None:
    async with listening(replace(LIMITS, head_seconds=0.5)) as server:
        client = await server.connect()
        await client.send(b"GET / HTTP/1.1\r\n")
        while not client.reader._buffer:  # type: ignore[attr-defined]
            await client.send(b"a")
            await asyncio.sleep(0.05)
        assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


@on_uvloop
async def test_a_body_that_trickles_is_taken() -> None:
    async with listening(replace(LIMITS, head_seconds=0.3, body_seconds=0.3)) as server:
        client = await server.connect()
        await client.send(b"POST /slow HTTP/1.1\r\nContent-Length: 30\r\n\r\n")
        for _ in range(30):
            await client.send(b"a")
            await asyncio.sleep(0.03)
        assert b"/slow 30" in await client.reader.readuntil(b"0\r\n\r\n")


@on_uvloop
async def test_a_request_that_takes_long_is_not_given_up() -> None:
    async with listening(replace(LIMITS, head_seconds=0.2, body_seconds=0.2)) as server:
        server.app.go_on.clear()
        client, websocket = await server.connect(), await server.connect()
        await client.send(b"POST /long HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
        await websocket.send(UPGRADE + b"\r\n")
        await asyncio.sleep(0.8)
        server.app.go_on.set()
        assert b"/long 3" in await client.reader.readuntil(b"0\r\n\r\n")
        await websocket.send(EMPTY_TEXT.replace(b"\x01", b"\x81"))
        assert b" 101 " in await websocket.reader.readuntil(b"\r\n\r\n")
        assert await websocket.reader.readexactly(3) == b"\x81\x010"


@on_uvloop
async def test_a_body_that_nobody_reads_does_not_last() -> None:
    async with listening(replace(LIMITS, body_seconds=0.4)) as server:
        client = await server.connect()
        await client.send(b"POST /unread HTTP/1.1\r\nContent-Length: 100000000000\r\n\r\n")
        assert b"/unread" in await client.reader.readuntil(b"0\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                await client.send(b"a" * 1000)
                await asyncio.sleep(0.01)
        await until(lambda: not server.protocols)


@on_uvloop
async def test_connections_are_counted_by_address() -> None:
    async with listening(most=6, each=4) as server:
        clients = [await server.connect() for _ in range(4)]
        await until(lambda: server.connections.open == 4)
        refused = await (await server.connect()).rest()
        assert refused.startswith(b"HTTP/1.1 429 ")
        assert b"retry-after: " in refused
        clients[0].writer.close()
        await until(lambda: server.connections.open == 3)
        again = await server.connect()
        await again.send(b"GET /again HTTP/1.1\r\n\r\n")
        assert b"/again" in await again.reader.readuntil(b"0\r\n\r\n")


@on_uvloop
async def test_connections_of_a_proxy_count_towards_the_total_only() -> None:
    async with listening(most=6, each=2, proxies=("127.0.0.0/8",)) as server:
        clients = [await server.connect() for _ in range(6)]
        await until(lambda: server.connections.open == 6)
        assert (await (await server.connect()).rest()).startswith(b"HTTP/1.1 503 ")
        for client in clients:
            await client.send(b"GET /yes HTTP/1.1\r\n\r\n")
            assert b"/yes" in await client.reader.readuntil(b"0\r\n\r\n")


@on_uvloop
async def test_a_websocket_is_counted_until_it_ends() -> None:
    async with listening(each=1) as server:
        client = await server.connect()
        await client.send(UPGRADE + b"\r\n")
        assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
        assert (await (await server.connect()).rest()).startswith(b"HTTP/1.1 429 ")
        client.writer.close()
        await until(lambda: server.connections.open == 0)


@pytest.mark.parametrize(
    "handshake",
    [
        UPGRADE + b"Content-Length: 5\r\n\r\nhello",
        UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        UPGRADE.replace(b"/ws", b"/ws".ljust(LIMITS.url, b"x")) + b"\r\n",
        UPGRADE + b"X: ".ljust(LIMITS.url + 1, b"x") + b"\r\n\r\n",
    ],
)
@on_uvloop
async def test_a_handshake_that_is_none_is_answered(handshake: bytes) -> None:
    """It stayed open without a word for as long as the client liked."""
    async with listening() as server:
        client = await server.connect()
        await client.send(handshake)
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 4")
        assert b"WebSocket" in answer
        assert server.app.requests == 0
        await until(lambda: not server.protocols)


@on_uvloop
async def test_what_comes_with_a_handshake_is_read() -> None:
    async with listening() as server:
        client = await server.connect()
        await client.send(UPGRADE + b"\r\n" + b"\x81\x83\0\0\0\0abc")
        assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
        assert await client.reader.readexactly(3) == b"\x81\x013"


@pytest.mark.parametrize("frame", [b"\x89\xfd\0\0\0\0" + b"a" * 125, b"\x81\x80\0\0\0\0"], ids=["ping", "text"])
@on_uvloop
async def test_a_flood_of_frames_waits_until_its_answers_are_read(frame: bytes) -> None:
    async with listening() as server:
        client = await server.connect()
        await client.send(UPGRADE + b"\r\n")
        assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        sent = await client.pour(frame * 10_000, 200_000_000)
        assert sent < 10_000_000
        (connection,) = server.protocols
        assert connection.read_paused
        assert len(connection.waiting) <= 2**20
        assert connection.transport.get_write_buffer_size() < 100_000
        assert connection.queue.qsize() < 1000


@pytest.mark.parametrize("frame", [EMPTY_CONTINUATION, b"\x00\x81\0\0\0\0a"], ids=["empty", "letters"])
@on_uvloop
async def test_a_message_of_endless_fragments_ends(frame: bytes) -> None:
    async with listening() as server:
        client = await server.connect()
        await client.send(UPGRADE + b"\r\n" + EMPTY_TEXT)
        assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
        assert await client.pour(frame * 1000, 3_000_000) < 3_000_000
        with contextlib.suppress(ConnectionError):
            await client.rest()
        await until(lambda: not server.protocols)


@pytest.mark.parametrize("begun", [EMPTY_TEXT, b"\x81\xfe\xff\xff\0\0\0\0a"], ids=["fragment", "frame"])
@on_uvloop
async def test_a_message_that_is_not_completed_ends_its_socket(begun: bytes) -> None:
    async with listening(replace(LIMITS, body_seconds=0.4)) as server:
        client = await server.connect()
        await client.send(UPGRADE + b"\r\n" + begun)
        assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
        assert b"not completed in time" in await client.rest()
        await until(lambda: not server.protocols and server.app.open == 0)
