"""Ports for servers that are started later, or come back at the same address."""

from __future__ import annotations

import random
import socket

#: Below those that the system gives to whoever asks for any (Linux: `ip_local_port_range`), so that nobody takes one
#: while its server is down.
STEADY = range(20_000, 32_000)


def steady() -> int:
    """A port that nobody uses now."""
    while True:
        port = random.SystemRandom().choice(STEADY)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
