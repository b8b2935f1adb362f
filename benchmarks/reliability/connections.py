"""P21, P22: clients that cost memory before they have shown a key, streams without end, and replays that nobody reads.

Each row is an attack of its own on a server of its own, at full size, and says how much the server grew meanwhile, and
how much of that was left ten seconds after the attackers had gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.http import Connection
from benchmarks.reliability.readers import PARTS
from benchmarks.reliability.server import Row, Server, ended, server, submit

MIB = 2**20
#: What each attack may cost, and what of it may stay.
BOUND = 32 * MIB
#: Seconds of one attack at most, and after it until what is left is measured.
MOST, AFTER = 25.0, 10.0
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: bm90IGEgc2VjcmV0ISEhIQ==\r\n\r\n"
)
HEADERS = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 1000) for n in range(1000))
CHUNKED = b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"

POST = b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"

Attack = Callable[[Server, float], contextlib.AbstractContextManager[str]]


def connect(port: int, receive: int = 0) -> socket.socket:
    sock = socket.socket()
    if receive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    sock.settimeout(5)
    sock.connect(("127.0.0.1", port))
    return sock


def pour(sock: socket.socket, data: bytes, most: int, deadline: float) -> int:
    """Sends it again and again until the server takes no more for five seconds; the bytes that were sent."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < most and time.monotonic() < deadline:
            sent += sock.send(data)
    return sent


def flood(first: bytes, data: bytes, most: int, connections: int = 1, receive: int = 0) -> Attack:
    """Sends a beginning, then the same without end, and reads nothing."""

    @contextlib.contextmanager
    def attack(target: Server, scale: float) -> Iterator[str]:
        socks = [connect(target.port, receive) for _ in range(connections)]
        for sock in socks:
            sock.sendall(first)
        deadline = time.monotonic() + MOST
        with ThreadPoolExecutor(connections) as pool:
            sent = sum(pool.map(lambda sock: pour(sock, data, round(most * scale), deadline), socks))
        yield f"{sent / MIB:.0f} of {connections * most * scale / MIB:.0f} MiB sent"
        for sock in socks:
            sock.close()

    return attack


def held(begun: bytes, count: int, receive: int = 0) -> Attack:
    """Opens connections, sends a beginning on each, and waits."""

    @contextlib.contextmanager
    def attack(target: Server, scale: float) -> Iterator[str]:
        socks = []
        for _ in range(round(count * scale)):
            with contextlib.suppress(OSError):
                sock = connect(target.port, receive)
                socks.append(sock)
                sock.sendall(begun)
        began, gone = time.monotonic(), 0
        while gone < len(socks) and time.monotonic() - began < MOST:
            time.sleep(0.5)
            gone = sum(map(ended_by_server, socks))
        yield f"{len(socks)} opened, {gone} of them ended by the server after {time.monotonic() - began:.0f} s"
        for sock in socks:
            sock.close()

    return attack


def with_key(attack: Attack) -> Attack:
    """The same on a server that has a key, which the attacker does not know."""

    @contextlib.contextmanager
    def closed(target: Server, scale: float) -> Iterator[str]:
        command = [sys.executable, "-m", "antiphon.cli.main", "keys", "create", "--name", "a"]
        subprocess.run([*command, "--data-dir", str(target.data)], check=True, capture_output=True)
        while asyncio.run(Connection(target.port).request("GET", "/v1/jobs")).status != 401:
            time.sleep(0.1)
        with attack(target, scale) as told:
            yield told

    return closed


def ended_by_server(sock: socket.socket) -> bool:
    """Whether its answer was an end, without waiting."""
    sock.setblocking(False)
    try:
        return sock.recv(65536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@contextlib.contextmanager
def streams(target: Server, scale: float) -> Iterator[str]:
    """One client opens streams without end."""
    socks, opened = [], 0
    for _ in range(round(2000 * scale)):
        sock = connect(target.port)
        socks.append(sock)
        with contextlib.suppress(OSError):
            sock.sendall(b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            opened += b" 200 " in sock.recv(4096)
    yield f"{len(socks)} asked for, {opened} opened"
    for sock in socks:
        sock.close()


@contextlib.contextmanager
def replays(target: Server, scale: float) -> Iterator[str]:
    """Readers of everything that ever happened who read nothing, by SSE and by WebSocket."""
    asks = [
        b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nLast-Event-ID: 1\r\n\r\n",
        UPGRADE.replace(b"/ws", b"/ws?last_event_id=1"),
    ]
    socks = [connect(target.port, 4096) for _ in range(round(200 * scale))]
    for n, sock in enumerate(socks):
        sock.sendall(asks[n % 2])
    time.sleep(MOST)
    yield f"{len(socks)} readers"
    for sock in socks:
        sock.close()


async def _events(target: Server, count: int) -> None:
    connection = Connection(target.port)
    for n in range(count // PARTS + 1):
        job = await submit(connection, "\n\n".join(f"Part {m} of story {n}." for m in range(PARTS)))
        assert job is not None
        await ended(connection, job["id"], 0.05)
    connection.close()


ATTACKS: dict[str, Attack] = {
    "endless header fields": flood(b"GET / HTTP/1.1\r\n", HEADERS, 444 * MIB),
    "a header field without end": flood(b"GET / HTTP/1.1\r\nX: ", b"a" * MIB, 444 * MIB),
    "requests sent ahead": flood(b"", b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 10_000, 60 * MIB),
    "the smallest requests, on 10 connections": flood(b"", b"GET / HTTP/1.1\r\n\r\n" * 10_000, 12 * MIB, 10),
    "half a head on 1,000 connections": held(b"GET / HTTP/1.1\r\nX: " + b"a" * 4000, 1000),
    "connections that send nothing": held(b"", 2000),
    "bodies that do not come, without the key": with_key(held(POST % 1_000_000 + b"{" * 60_000, 400)),
    "a body without end": flood(POST % 99_999_999_999, b"a" * MIB, 444 * MIB),
    "the longest body": flood(POST % (16 * MIB) + b'{"input": "', b"a" * MIB, 17 * MIB),
    "an extension of a chunk": flood(CHUNKED + b"1;", b"a" * MIB, 444 * MIB),
    "trailers without end": flood(CHUNKED + b"1\r\na\r\n0\r\n", HEADERS, 444 * MIB),
    "pings whose answers nobody reads": flood(UPGRADE, (b"\x89\xfd\0\0\0\0" + b"a" * 125) * 1000, 200 * MIB, 10, 4096),
    "the smallest WebSocket messages": flood(UPGRADE, b"\x81\x80\0\0\0\0" * 10_000, 20 * MIB),
    "a message of endless fragments": flood(UPGRADE + b"\x01\x80\0\0\0\0", b"\x00\x81\0\0\0\0a" * 10_000, 100 * MIB),
    "2,000 streams of one client": streams,
    "200 readers of a replay who stop reading": replays,
}


def measure(name: str, attack: Attack, scale: float) -> Row:
    with server("--model", "tone", "--workers", "1") as target:
        if attack is replays:
            asyncio.run(_events(target, round(9_700 * scale)))
        # What the first of many connections costs once.
        for _ in range(20):
            connect(target.port).close()
        before = most = target.rss
        done = threading.Event()

        def watch() -> None:
            nonlocal most
            while not done.wait(0.05):
                most = max(most, target.rss)

        watching = threading.Thread(target=watch)
        watching.start()
        with attack(target, scale) as told:
            pass
        done.set()
        watching.join()
        time.sleep(AFTER)
        left = target.rss - before
        alive = asyncio.run(Connection(target.port).request("GET", "/livez")).status == 200
    grown = most - before
    figure = f"memory {grown / MIB:+.1f} MiB, {left / MIB:+.1f} MiB {AFTER:.0f} s after; {told}"
    return Row("P22" if attack is replays else "P21", name, figure, grown <= BOUND and left <= BOUND and alive)


def connections(seed: int, scale: float) -> list[Row]:
    """Every attack; nothing in them is random."""
    return [measure(name, attack, scale) for name, attack in ATTACKS.items()]
