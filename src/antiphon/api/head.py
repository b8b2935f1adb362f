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
        started = False

        async def send_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                await send(message)
                started = True
                return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            raise _Answered

        # The same scope, since the log reads there which route it was.
        scope["method"], headers = "GET", scope["headers"]
        scope["headers"] = [pair for pair in headers if pair[0] not in IGNORED]
        try:
            await self.app(scope, receive, send_headers)
        except _Answered:
            return
        finally:
            scope["method"], scope["headers"] = "HEAD", headers
