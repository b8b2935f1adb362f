"""A job's events as they come in: server-sent events read line by line, and where to go on after a break."""

from __future__ import annotations

import json

from antiphon.client.errors import ApiError
from antiphon.client.retrying import Absence, Call
from antiphon.client.types import Event

#: Seconds of silence after which a connection is taken for dead; the server says something every 15.
SILENCE = 45.0


class Story:
    """Which events were seen, what to ask for next, and whether the last one has come.

    The format is that of the HTML standard, as far as the server uses it: one `data` line to an event.
    """

    def __init__(self, path: str, after: int | None) -> None:
        self._path = path
        self._seen = after
        self._absence = Absence()
        self.over = False

    def call(self) -> Call[None]:
        headers = {"Accept": "text/event-stream"}
        if self._seen is not None:
            headers["Last-Event-ID"] = str(self._seen)
        return Call("GET", self._path, lambda answer: None, headers=headers, timeout=SILENCE)

    def take(self, line: str) -> Event | None:
        """The event that a line completes."""
        if line and line != ": listening":
            # Only what comes after the greeting is progress: a server that greets and hangs up is not back.
            self._absence.over()
        if not line.startswith("data: "):
            return None
        event = Event.of(json.loads(line[6:]))
        self._seen = max(event.id, self._seen or 0)
        self.over = event.last
        return event

    def broke(self, error: Exception | None) -> float:
        """Seconds until the next try. Raises what no further try would mend."""
        if isinstance(error, ApiError) and error.status not in (429, 503):
            raise error
        return self._absence.pause(str(error or "the stream of events ended early"))
