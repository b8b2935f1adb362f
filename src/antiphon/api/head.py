"""Head: answers HEAD wherever there is GET, with the same status and headers and without a body.

Load balancers, players and download managers ask with HEAD before they GET. The route answers as to GET (RFC 9110,
9.3.2), and is ended as soon as its headers are known: a stream makes no sound that nobody hears.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Headers that mean nothing in a HEAD: ranges are defined for GET alone (RFC 9110, 14.2).
IGNORED = frozenset({b"range", b"if-range"})


class _Answered(Exception):
    """The headers are sent, and nothing else is wanted."""


class Head:
    """Hands a HEAD on as a GET and drops the body of the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            raise _Answered

        headers = [pair for pair in scope["headers"] if pair[0] not in IGNORED]
        # A copy: the server's protocol looks at its own scope to know that no body follows.
        as_get = {**scope, "method": "GET", "headers": headers}
        try:
            await self.app(as_get, receive, send_headers)
        except _Answered:
            return
        finally:
            if "route" in as_get:
                scope["route"] = as_get["route"]  # For the log.
