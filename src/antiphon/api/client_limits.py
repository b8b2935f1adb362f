"""Client limits: how many streams a key, or without keys an address, may have open, and how many requests a client that
comes through a trusted proxy.

A stream lasts as long as its client likes: events, a WebSocket, audio that is sent as fast as it is read. Admission
bounds work, which streams that wait do not make.
"""

from __future__ import annotations

from collections import Counter

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.api import errors as answers
from antiphon.api.connection_limits import RETRY_AFTER, too_many
from antiphon.api.proxies import TrustedProxies, client_of
from antiphon.domain import errors
from antiphon.settings import Settings


class ClientLimits:
    """Goes inside the guard, which knows the caller and the address. Used in one event loop."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.most_streams, self.most_requests = settings.max_streams, settings.max_address_connections
        #: Streams and requests that are open, by what they are counted for.
        self.open: Counter[tuple[str, str]] = Counter()
        self._proxies = TrustedProxies(settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope["antiphon.opened"] = opened = Opened(self, scope)
        try:
            opened.begin_request()
            if scope["type"] == "websocket":
                opened.begin_stream()
            await self.app(scope, receive, send)
        except errors.TooManyOpen as e:
            if scope["type"] == "http":
                raise
            await _refuse(scope, send, e)
        finally:
            opened.end()

    def forwarded_for(self, scope: Scope) -> str | None:
        """The client behind the trusted proxy whose connection this is; None for any other connection."""
        peer, address = scope.get("client"), scope["antiphon.address"]
        if peer is None or peer[0] == address or not self._proxies.trust(peer[0]):
            return None
        return client_of(address)


class Opened:
    """What one request has open, until it ends."""

    def __init__(self, limits: ClientLimits, scope: Scope) -> None:
        self._limits, self._scope = limits, scope
        self._counted: list[tuple[str, str]] = []
        self._is_stream = False

    def begin_request(self) -> None:
        """Counts it for a client behind a proxy; other clients' connections are counted. Raises `TooManyOpen`."""
        most = self._limits.most_requests
        if (client := self._limits.forwarded_for(self._scope)) is not None:
            self._count(("request", client), most, too_many(most))

    def begin_stream(self) -> None:
        """Counts it as a stream of its owner, once. Raises `TooManyOpen`."""
        if self._is_stream:
            return
        self._is_stream = True
        most, caller = self._limits.most_streams, self._scope["antiphon.caller"]
        whose, owner = ("address", client_of(caller.owner)) if caller.key is None else ("key", caller.owner)
        self._count((whose, owner), most, f"Your {whose} has {most} streams open (--max-streams); close some first")

    def end(self) -> None:
        while self._counted:
            name = self._counted.pop()
            self._limits.open[name] -= 1
            if not self._limits.open[name]:
                del self._limits.open[name]

    def _count(self, name: tuple[str, str], most: int, why: str) -> None:
        if self._limits.open[name] >= most:
            raise errors.TooManyOpen(why, retry_after=RETRY_AFTER)
        self._limits.open[name] += 1
        self._counted.append(name)


def begin_stream(connection: HTTPConnection) -> None:
    """Counts this request as a stream until it ends. Raises `TooManyOpen`."""
    opened: Opened = connection.scope["antiphon.opened"]
    opened.begin_stream()


async def _refuse(scope: Scope, send: Send, error: errors.TooManyOpen) -> None:
    """Answers a WebSocket's handshake as any request to its path."""
    scope["antiphon.log"]["code"] = error.code
    response = answers.response(error, scope["path"])
    head = {"status": response.status_code, "headers": response.raw_headers}
    await send({"type": "websocket.http.response.start", **head})
    await send({"type": "websocket.http.response.body", "body": bytes(response.body)})
