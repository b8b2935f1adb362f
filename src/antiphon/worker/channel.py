"""A worker process and the way to it, wherever it runs: what `process.py` asks of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec


class StartProgress(msgspec.Struct, frozen=True):
    """What is waited for before the process runs."""

    #: In a few words.
    what: str
    #: Of files that are being fetched: bytes, and the seconds left.
    bytes_done: int | None = None
    bytes_total: int | None = None
    eta: float | None = None

    @property
    def fraction(self) -> float | None:
        return None if self.bytes_done is None or not self.bytes_total else self.bytes_done / self.bytes_total


@dataclass(frozen=True, slots=True)
class ChannelCallbacks:
    """What a channel tells, in the event loop's thread. None of them may raise."""

    #: Bytes of frames, in order.
    on_data: Callable[[bytes], None]
    #: No more will come: the process ended, or soon will.
    on_end: Callable[[], None]
    #: A line that the process printed.
    on_line: Callable[[str], None]
    #: Anew whenever it changed.
    on_start_progress: Callable[[StartProgress], None]


class Channel(Protocol):
    """One worker process, from its start to its end. Used in one event loop."""

    @property
    def pid(self) -> int | None: ...

    @property
    def node(self) -> str | None:
        """The machine it runs on; None: this one."""
        ...

    def write(self, data: bytes) -> None:
        """Sends frames; does nothing once it is ended."""
        ...

    async def ensure_files(self, params: Mapping[str, Any]) -> None:
        """Sees to it that the recordings which a unit names are where the process looks for them.

        Raises `UnitFailed` if one cannot be had, `WorkerDied` if the way there is lost."""
        ...

    def exited(self) -> bool:
        """Whether it is known to have ended; cheap."""
        ...

    def kill(self) -> None:
        """Ends it at once, with all that it started; does nothing if it has ended."""
        ...

    def abort(self) -> None:
        """For when the event loop ends at once: ends it and, if it is here, waits until it is gone."""
        ...

    async def reap(self) -> str:
        """Waits for its end, by force if need be; says how it ended, and what it last said, in words."""
        ...

    async def close(self) -> None:
        """Gives back what is left; it has ended."""
        ...


#: Starts a process; raises `WorkerDied` if that fails, and then, or cancelled, left nothing.
ChannelFactory = Callable[[ChannelCallbacks], Awaitable[Channel]]
