"""A channel: one worker process and the connection to it, wherever it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec


class StartProgress(msgspec.Struct, frozen=True):
    """What the start of a process waits for, before the process runs."""

    #: In a few words.
    what: str
    #: While files are fetched: bytes, and the seconds left.
    bytes_done: int | None = None
    bytes_total: int | None = None
    eta: float | None = None

    @property
    def fraction(self) -> float | None:
        return None if self.bytes_done is None or not self.bytes_total else self.bytes_done / self.bytes_total


@dataclass(frozen=True, slots=True)
class ChannelCallbacks:
    """What a channel reports, in the event loop's thread. None of them may raise."""

    #: Bytes of frames, in order.
    on_data: Callable[[bytes], None]
    #: No more bytes will come: the process ended, or soon will.
    on_end: Callable[[], None]
    #: One line that the process printed.
    on_line: Callable[[str], None]
    #: Called whenever it changed.
    on_start_progress: Callable[[StartProgress], None]


class Channel(Protocol):
    """One worker process, from its start to its end. Used in one event loop."""

    @property
    def pid(self) -> int | None: ...

    @property
    def node(self) -> str | None:
        """The machine it runs on; None: this one."""

    def write(self, data: bytes) -> None:
        """Sends frames; does nothing once the process has ended."""

    async def ensure_files(self, params: Mapping[str, Any]) -> None:
        """Makes sure that the recordings that a unit's parameters name are where the process looks for them.

        Raises `UnitFailed` if one cannot be had, `WorkerDied` if the connection is lost."""

    def exited(self) -> bool:
        """Whether the process is known to have ended; cheap."""

    def kill(self) -> None:
        """Ends the process at once, with all that it started; does nothing if it has ended."""

    def abort(self) -> None:
        """Ends the process without an event loop to wait in: blocks until it is gone, if it runs on this machine."""

    async def reap(self) -> str:
        """Waits for its end, and forces it if need be; returns in words how it ended, and the last line that it
        printed."""

    async def close(self) -> None:
        """Releases what the channel holds; the process has ended."""


#: Starts a process; raises `WorkerDied` if that fails, and then, or cancelled, left nothing.
ChannelFactory = Callable[[ChannelCallbacks], Awaitable[Channel]]
