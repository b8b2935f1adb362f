"""P13: SIGTERM with 200 streams open and work running."""

from __future__ import annotations

import asyncio
import json
import os
import time

from benchmarks.http import Connection
from benchmarks.reliability.server import Row, Server, get, server, submit

LONG = "\n\n".join(f"Paragraph number {n} of a text that takes a while to be spoken to its end." for n in range(60))


async def _streams(port: int, count: int) -> list[asyncio.StreamWriter]:
    """Half of them listen to events, half to audio that is being made."""
    opened = []
    for n in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        if n % 2:
            writer.write(b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        else:
            body = json.dumps({"input": f"{n}. {LONG}", "response_format": "pcm"}).encode()
            head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
        opened.append(writer)
        del reader
    return opened


async def _drain(target: Server, count: int) -> tuple[float, float, int]:
    connection = Connection(target.port)
    job = await submit(connection, LONG)
    assert job is not None
    opened = await _streams(target.port, count)
    while (await get(connection, "/health"))["concurrent"] < 2:
        await asyncio.sleep(0.05)
    target.term()
    began = time.monotonic()
    while (await connection.request("GET", "/readyz")).status != 503:
        await asyncio.sleep(0.01)
    unready = time.monotonic() - began
    while target.process.poll() is None:
        await asyncio.sleep(0.02)
    took = time.monotonic() - began
    for writer in opened:
        writer.close()
    connection.close()
    return unready, took, target.process.returncode


def drain(seed: int, scale: float) -> list[Row]:
    """Ready says no at once, running work gets 30 s, the rest goes back, nobody is left behind."""
    count = round(200 * scale)
    with server("--model", "tone", "--workers", "2", tone_delay="0.5") as target:

        async def pids() -> list[int]:
            connection = Connection(target.port)
            found = [w["pid"] for w in (await get(connection, "/v1/workers"))["data"]]
            connection.close()
            return found

        workers = asyncio.run(pids())
        unready, took, code = asyncio.run(_drain(target, count))
        orphans = sum(os.path.exists(f"/proc/{pid}") for pid in workers)
    return [
        Row(
            "P13",
            f"SIGTERM with {count} streams open and a long job running",
            f"readiness 503 after {unready * 1000:.0f} ms; exit {code} after {took:.1f} s; {orphans} orphans",
            unready <= 0.5 and took <= 35 and code == 0 and orphans == 0,
        )
    ]
