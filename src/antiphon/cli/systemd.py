"""What systemd is told: ready, alive, stopping. Does nothing where nobody listens.

The protocol is sd_notify(3): a datagram of `KEY=value` lines to the socket that NOTIFY_SOCKET names.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping


class Notifier:
    """`Type=notify` and `WatchdogSec=` of a systemd unit."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # @name is a name in the abstract namespace, which begins with a zero byte.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        pid, wanted = environment.get("WATCHDOG_PID", ""), environment.get("WATCHDOG_USEC", "")
        ours = not pid or pid == str(os.getpid())
        #: Seconds between two signs of life: half of what is allowed. None: nobody watches.
        self.interval = int(wanted) / 2e6 if self._address and ours and wanted.isdecimal() and int(wanted) else None

    def tell(self, *lines: str) -> None:
        """Never raises: a supervisor that does not hear is no reason to stop."""
        if not self._address.startswith(("/", "\0")):
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return

    async def beat(self) -> None:
        """Signs of life from the event loop, so that one that hangs is noticed. Returns at once if nobody watches."""
        while self.interval is not None:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self.interval)
