"""Connection: what HTTP and WebSocket connections have in common, so that none costs more than its limits allow."""

from __future__ import annotations

import asyncio

from antiphon.api.connection_limits import ConnectionLimits, Connections
from antiphon.api.write_timeout import WRITE_BUFFER, TimedWrites

#: Bytes that are given to a parser at a time, so that it makes few objects before it is asked to wait.
PIECE = 4096
#: Pieces that are parsed before others have their turn: the smallest frames take 2 ms of one piece.
PIECES = 4
NOTHING = memoryview(b"")


class BoundedConnection(TimedWrites):
    """Goes before a protocol of uvicorn's. Bytes that came stay in `waiting` until they may be parsed, and the clock is
    looked at from the first moment to the last: a timer for each step would have to be set for every request."""

    limits: ConnectionLimits
    open_connections: Connections
    loop: asyncio.AbstractEventLoop
    #: The address for which the connection is counted; None: it is not.
    counted: str | None = None
    waiting: memoryview = NOTHING
    #: When the last bytes came.
    heard_at = 0.0
    _closing_at: float | None = None
    _turn: asyncio.Handle | None = None
    _clock: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The connection is there. Reads no more than it must, and looks at the clock from now on."""
        self.seconds = self.limits.stall_seconds
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self.heard_at = self.loop.time()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self.end()
        self.uncount()
        super().connection_lost(exc)

    def end(self) -> None:
        """Looks at the clock no more."""
        self.waiting = NOTHING
        self._cancel()
        for handle in (self._clock, self._turn):
            if handle is not None:
                handle.cancel()

    def uncount(self) -> str | None:
        address, self.counted = self.counted, None
        if address is not None:
            self.open_connections.leave(address)
        return address

    def hear(self, data: bytes) -> None:
        """Puts bytes behind those that wait."""
        self.heard_at = self.loop.time()
        self.waiting = memoryview(bytes(self.waiting) + data if self.waiting else data)

    def parse(self) -> None:
        """Parses what waits, as far as it may be parsed."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        pieces = 0
        while self.waiting and self.may_parse():
            if pieces == PIECES:
                self._turn = self.loop.call_soon(self.parse)
                break
            self.parse_piece()
            pieces += 1
        if not self.waiting:
            # An empty view would still hold the bytes that it is a part of.
            self.waiting = NOTHING
        self.read_on(not self.waiting and self.may_parse())

    def may_parse(self) -> bool:
        raise NotImplementedError

    def parse_piece(self) -> None:
        """Parses a first part of what waits."""
        raise NotImplementedError

    def read_on(self, wanted: bool) -> None:
        """Whether the transport shall read on."""
        raise NotImplementedError

    def check(self, now: float) -> None:
        """Ends what takes too long, on a connection that is not being closed."""
        raise NotImplementedError

    def _watch(self) -> None:
        self._clock = self.loop.call_later(self.limits.look, self._look)

    def _look(self) -> None:
        now = self.loop.time()
        if not self.transport.is_closing():
            self.check(now)
        elif self._closing_at is None:
            self._closing_at = now
        elif now - self._closing_at > self.limits.stall_seconds:
            # The transport closes after its last byte was taken, for which it would wait for ever.
            self.transport.abort()
            return
        self._watch()
