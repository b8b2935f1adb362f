"""Log output: readable lines in a terminal, JSON lines otherwise."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import sys
import threading
from typing import Any, BinaryIO

import msgspec
import structlog

from antiphon.settings import Settings

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(settings: Settings) -> None:
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    level = LEVELS[settings.log_level]
    timestamp = structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console)
    processors: list[Any] = [structlog.processors.add_log_level, timestamp]
    if console:
        # rich's tracebacks, the default, print variables, which may hold texts and keys.
        plain = structlog.dev.plain_traceback
        processors += [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
        factory: Any = structlog.WriteLoggerFactory(sys.stderr)
    else:
        processors += [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(serializer=_encode),
        ]
        factory = BatchedLogger(sys.stderr.buffer)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard library: only warnings and worse are written.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)


class BatchedLogger:
    """Logger that writes the lines of one event loop turn together: one system call per line took a tenth of the time
    to accept a job. Warnings and worse are written at once, as is everything outside an event loop."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: list[bytes] = []
        self._lock = threading.Lock()
        atexit.register(self.flush)

    def __call__(self, *_: Any) -> BatchedLogger:
        """As a logger factory: returns this one logger."""
        return self

    def msg(self, line: bytes) -> None:
        with self._lock:
            self._waiting.append(line)
            first = len(self._waiting) == 1
        if first:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:
                self.flush()

    def at_once(self, line: bytes) -> None:
        with self._lock:
            self._waiting.append(line)
        self.flush()

    debug = info = msg
    warning = warn = error = critical = exception = fatal = at_once

    def flush(self) -> None:
        with self._lock:
            lines, self._waiting = self._waiting, []
            if lines:
                # A closed log pipe must not end the server.
                with contextlib.suppress(OSError, ValueError):
                    self._file.write(b"\n".join(lines) + b"\n")
                    self._file.flush()


def _encode(event: Any, **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=repr)
