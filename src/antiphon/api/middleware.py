"""Around every request: an id, one log line, and an answer whatever happens. Pure ASGI, so streams stay streams."""

from __future__ import annotations

import time
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.api import errors as answers
from antiphon.api.waiting import ClientGone
from antiphon.domain import errors
from antiphon.service import ids
from antiphon.service.app import Antiphon

log = structlog.get_logger("antiphon.http")

#: Asked so often by machines that a line each would bury the rest.
QUIET = frozenset({"/health", "/livez", "/readyz", "/metrics"})


class RequestLog:
    """One line per request: what it was, how it ended, what else was going on."""

    def __init__(self, app: ASGIApp, antiphon: Antiphon) -> None:
        self.app, self.antiphon = app, antiphon

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = ids.new_id()
        said: dict[str, Any] = {}
        scope["antiphon.log"] = said
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientGone:
            status = status or 499
        except errors.AntiphonError as e:
            if status == 0:
                await answers.response(e, scope["path"])(scope, receive, send_with_id)
            else:
                # Too late for a status: ending the connection without the last chunk is how HTTP says it.
                said["error"] = e.message
        except Exception:
            log.exception("a request failed inside the server", path=scope["path"], request=request_id)
            if status == 0:
                broken = errors.AntiphonError(f"Something went wrong in the server; its log has request {request_id}")
                await answers.response(broken, scope["path"])(scope, receive, send_with_id)
        finally:
            self._line(scope, status, time.perf_counter() - began, request_id, said)

    def _line(self, scope: Scope, status: int, seconds: float, request_id: str, said: dict[str, Any]) -> None:
        path = scope["path"]
        if path in QUIET and status == 200:
            return
        hosted = self.antiphon.models.hosted.values()
        log.info(
            "request",
            method=scope["method"],
            path=path,
            status=status,
            ms=round(seconds * 1000, 1),
            **said,
            active=sum(h.dispatcher.running for h in hosted),
            queued=sum(len(h.dispatcher.queue) for h in hosted),
            request=request_id,
        )


def note(scope: Scope, **facts: Any) -> None:
    """Adds facts to this request's log line."""
    scope["antiphon.log"].update(facts)
