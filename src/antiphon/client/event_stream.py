"""Event stream: parses a job's server-sent events line by line, and resumes after a break."""

from __future__ import annotations

import json

from antiphon.client.errors import ApiError
from antiphon.client.retrying import Call, Outage
from antiphon.client.types import Event

#: Seconds without data after which a connection counts as dead; the server sends a line every 15.
READ_TIMEOUT = 45.0


class EventStream:
    """Position in a job's events: the last one seen, the next request, and whether the job has ended.

    Format: the HTML standard's, as far as the server uses it, with one `data` line per event."""

    def __init__(self, path: str, after: int | None) -> None:
        self._path = path
        self._seen = after
        self._outage = Outage()
        self.over = False

    def call(self) -> Call[None]:
        headers = {"Accept": "text/event-stream"}
        if self._seen is not None:
            headers["Last-Event-ID"] = str(self._seen)
        return Call("GET", self._path, lambda answer: None, headers=headers, timeout=READ_TIMEOUT)

    def read(self, line: str) -> Event | None:
        """Reads a line; returns the event that it completes."""
        if line and line != ": listening":
            # Only data after the greeting ends the outage: a server that greets and hangs up is not back.
            self._outage.over()
        if not line.startswith("data: "):
            return None
        event = Event.of(json.loads(line[6:]))
        self._seen = max(event.id, self._seen or 0)
        self.over = event.last
        return event

    def interrupted(self, error: Exception | None) -> float:
        """Seconds until the next try. Raises an error that a retry cannot resolve."""
        if isinstance(error, ApiError) and error.status not in (429, 503):
            raise error
        return self._outage.pause(str(error or "the stream of events ended early"))
