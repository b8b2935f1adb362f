"""Fast path: the busiest routes, answered without the framework's routing, dependencies and middleware.

Measured on `POST /v1/jobs`, those layers took nearly half of a request's time in the event loop, and a route that reads
the raw body needs none of them. The same functions are registered as ordinary routes too, for the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]

BUSY = frozenset({("POST", "/tts"), ("POST", "/v1/audio/speech"), ("POST", "/v1/jobs")})


def endpoints(routers: Iterable[APIRouter]) -> Mapping[tuple[str, str], Endpoint]:
    """The functions of the busy routes, by method and path."""
    found = {
        (method, route.path): route.endpoint
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
        if (method, route.path) in BUSY
    }
    assert found.keys() == BUSY, "a busy route was renamed"
    return found


class FastPath:
    """Calls the functions of the busy routes; any other request goes to `app`. The layer around it answers errors."""

    def __init__(self, app: ASGIApp, busy: Mapping[tuple[str, str], Endpoint]) -> None:
        self.app, self._busy = app, busy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._busy.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await self.app(scope, receive, send)
            return
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
