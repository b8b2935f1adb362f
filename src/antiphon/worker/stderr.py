"""Standard error of a worker: passes every line on, and keeps the last ones to explain the worker's death."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

TAIL_BYTES = 4096
#: Bytes after which an unfinished line is passed on as it is.
LINE_BYTES = 2048


class Stderr(asyncio.Protocol):
    """The reading end of a worker's standard error."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._tail = b""
        self._line = b""
        #: Set at the end of file.
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        *whole, self._line = (self._line + data).split(b"\n")
        while len(self._line) > LINE_BYTES:
            whole.append(self._line[:LINE_BYTES])
            self._line = self._line[LINE_BYTES:]
        for line in whole:
            self._pass_on(line)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pass_on(self._line)
        self.ended.set()

    def last_line(self) -> str:
        """The last line that is not blank, at most 300 characters."""
        lines = [line for line in decoded(self._tail).splitlines() if line.strip()]
        return lines[-1].strip()[:300] if lines else ""

    def _pass_on(self, line: bytes) -> None:
        if line.strip():
            self._on_line(decoded(line[:LINE_BYTES]).rstrip())


def decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")
