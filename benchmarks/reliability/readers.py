"""P10: readers that stop reading, beside one that reads."""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import time
from typing import Any

import psutil

from benchmarks.http import Connection, percentile
from benchmarks.reliability.server import Row, Server, ended, server, submit

#: Units of one job, each of which is an event.
PARTS = 100


def stalled(port: int, websocket: bool) -> socket.socket:
    """Asks for all events and never reads one."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    upgrade = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: bm90IGEgc2VjcmV0ISEhIQ==\r\n"
    )
    path, more = ("/ws", upgrade) if websocket else ("/v1/events", "")
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n".encode())
    return sock


async def _listen(port: int, late: list[float], until: asyncio.Event) -> list[int]:
    """A healthy reader: ids of the events in order; `late` gets the seconds from each event to its arrival."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    writer.write(b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    ids: list[int] = []
    while not until.is_set():
        try:
            line = await asyncio.wait_for(reader.readline(), 0.2)
        except TimeoutError:
            continue
        if line.startswith(b"data: "):
            event = json.loads(line[6:])
            late.append(time.time() - event["at"])
            ids.append(event["id"])
    writer.close()
    return ids


async def _events(target: Server, count: int) -> tuple[list[float], list[int], float]:
    """Makes that many events; the delays of a healthy reader, its ids, and when the last event was made."""
    late: list[float] = []
    done = asyncio.Event()
    listening = asyncio.create_task(_listen(target.port, late, done))
    connection = Connection(target.port)
    jobs: list[dict[str, Any] | None] = []
    for n in range(count // PARTS):
        text = "\n\n".join(f"Part {m} of story {n} of {time.time_ns()}." for m in range(PARTS))
        jobs.append(await submit(connection, text))
    for job in jobs:
        assert job is not None
        await ended(connection, job["id"], 0.1)
    over = time.monotonic()
    done.set()
    ids = await listening
    connection.close()
    return late, ids, over


def readers(seed: int, scale: float) -> list[Row]:
    """100 stalled readers by SSE and 100 by WebSocket, 10,000 events."""
    each, count = round(100 * scale), round(10_000 * scale)
    with server("--model", "tone", "--workers", "1") as target:
        asyncio.run(_events(target, count))
        alone, _, _ = asyncio.run(_events(target, count))
        before = target.rss
        sockets = [stalled(target.port, websocket) for websocket in (False, True) for _ in range(each)]
        began = time.monotonic()
        beside, ids, over = asyncio.run(_events(target, count))
        grown = (target.rss - before) / 2**20
        ports = {sock.getsockname()[1] for sock in sockets}
        process = psutil.Process(target.process.pid)
        left = len(ports)
        while time.monotonic() - over < 45 and left:
            left = sum(bool(c.raddr) and c.raddr.port in ports for c in process.net_connections("tcp"))
            time.sleep(0.2)
        cut = time.monotonic() - over
        for sock in sockets:
            sock.close()
    ordered = ids == sorted(set(ids))
    a, b = percentile(alone, 99), percentile(beside, 99)
    return [
        Row(
            "P10",
            f"{len(ports)} stalled readers (SSE and WebSocket), {len(ids)} events in {over - began:.0f} s",
            f"memory {grown:+.1f} MiB; {left} still connected {cut:.0f} s after the last event; a healthy reader's "
            f"delay p99 {a * 1000:.0f} ms alone, {b * 1000:.0f} ms beside them ({b / a:.1f}×), median "
            f"{statistics.median(beside) * 1000:.1f} ms; its events in order, none twice: {'yes' if ordered else 'no'}",
            grown <= 32 and left == 0 and cut <= 35 and b <= 2 * a and ordered,
        )
    ]
