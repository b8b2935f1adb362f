"""How the server's log looks: for eyes in a terminal, JSON lines otherwise."""

from __future__ import annotations

import logging
import sys
from typing import Any

import msgspec
import structlog

from antiphon.settings import Settings

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(settings: Settings) -> None:
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    level = LEVELS[settings.log_level]
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    if console:
        processors = [*shared, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        factory: Any = structlog.WriteLoggerFactory(sys.stderr)
    else:
        processors = [
            *shared,
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(serializer=_encode),
        ]
        factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    # What libraries say through the standard library: warnings and worse.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)


def _encode(event: Any, **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=repr)
