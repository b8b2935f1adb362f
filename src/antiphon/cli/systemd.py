"""Systemd notifications: ready, alive, stopping. Does nothing outside a systemd unit.

Protocol: sd_notify(3), a datagram of `KEY=value` lines to the socket in NOTIFY_SOCKET.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends the notifications of `Type=notify` and `WatchdogSec=`."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # @name means the abstract namespace, whose names start with a zero byte.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        pid, wanted = environment.get("WATCHDOG_PID", ""), environment.get("WATCHDOG_USEC", "")
        ours = not pid or pid == str(os.getpid())
        #: Seconds between two keep-alives: half the watchdog's limit. None: no watchdog.
        self.interval = int(wanted) / 2e6 if self._address and ours and wanted.isdecimal() and int(wanted) else None

    def notify(self, *lines: str) -> None:
        """Sends lines. Never raises: a missing supervisor must not stop the server."""
        if not self._address.startswith(("/", "\0")):
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return

    async def keep_alive(self) -> None:
        """Sends keep-alives from the event loop, so systemd notices a blocked one. Without a watchdog: returns."""
        while self.interval is not None:
            self.notify("WATCHDOG=1")
            await asyncio.sleep(self.interval)
