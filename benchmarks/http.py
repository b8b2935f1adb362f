"""A lean HTTP/1.1 client for load: keep-alive connections, no more work per request than needed, so that the two
cores go to what is measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Answer:
    status: int
    seconds: float
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Connection:
    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        """`source` is the address it comes from: without keys another client."""
        self.port, self._source = port, source
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def request(self, method: str, path: str, body: bytes = b"", more: Mapping[str, str] = NONE) -> Answer:
        began = time.perf_counter()
        if self._writer is None or self._writer.is_closing():
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self.port, local_addr=(self._source, 0)
            )
        assert self._reader is not None
        fields = (
            "Host: 127.0.0.1",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *map(": ".join, more.items()),
        )
        head = "\r\n".join((f"{method} {path} HTTP/1.1", *fields, "", ""))
        self._writer.write(head.encode() + body)
        raw = await self._reader.readuntil(b"\r\n\r\n")
        lines = raw.lower().split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
        if headers.get(b"transfer-encoding") == b"chunked":
            data = await self._chunks()
        else:
            data = await self._reader.readexactly(int(headers.get(b"content-length", b"0")))
        if headers.get(b"connection") == b"close":
            self.close()
        told = {name.decode(): value.decode("latin-1") for name, value in headers.items()}
        return Answer(int(lines[0].split()[1]), time.perf_counter() - began, data, told)

    async def first(self, path: str, body: bytes, more: Mapping[str, str] = NONE, least: int = 1000) -> float:
        """Seconds until the first `least` bytes of an answer's body are there; the connection ends then."""
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        fields = ("Host: 127.0.0.1", f"Content-Length: {len(body)}", *map(": ".join, more.items()))
        writer.write("\r\n".join((f"POST {path} HTTP/1.1", *fields, "", "")).encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise RuntimeError(f"{path} answered {head[:100]!r}")
        await reader.readexactly(least)
        took = time.perf_counter() - began
        writer.close()
        return took

    async def _chunks(self) -> bytes:
        assert self._reader is not None
        parts = []
        while size := int(await self._reader.readline(), 16):
            parts.append(await self._reader.readexactly(size))
            await self._reader.readline()
        await self._reader.readline()
        return b"".join(parts)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


async def load(
    port: int,
    path: str,
    bodies: list[bytes],
    clients: int,
    method: str = "POST",
    ok: Callable[[int], bool] = lambda s: s < 300,
    spread: bool = False,
) -> tuple[float, list[Answer]]:
    """Sends every body once over `clients` connections; returns the seconds it took and the answers.

    `spread`: each connection comes from an address of its own, and is another client."""
    waiting = iter(bodies)
    answers: list[Answer] = []

    async def client(number: int) -> None:
        connection = Connection(port, f"127.0.0.{2 + number}" if spread else "127.0.0.1")
        try:
            for body in waiting:
                answer = await connection.request(method, path, body)
                if not ok(answer.status):
                    raise RuntimeError(f"{path} answered {answer.status}: {answer.body[:200]!r}")
                answers.append(answer)
        finally:
            connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(clients)))
    return time.perf_counter() - began, answers


def percentile(values: list[float], p: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(p / 100 * len(ordered)))]
