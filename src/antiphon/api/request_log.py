"""Around every request: an id, one log line, and an answer whatever happens. Pure ASGI, so streams stay streams."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.api import errors as answers
from antiphon.api.disconnect import ClientGone
from antiphon.api.fast_path import BUSY
from antiphon.app.antiphon import Antiphon
from antiphon.domain import errors, ids
from antiphon.domain.event import EventType
from antiphon.jobs.active import ActiveJob
from antiphon.text.normalise import log_text

log = structlog.get_logger("antiphon.http")

#: Asked so often by machines that a line each would bury the rest: they have theirs at the level debug.
QUIET = frozenset({"/health", "/livez", "/readyz", "/metrics"})
#: Whose first byte is the first sound.
SPEECH = frozenset({"/v1/audio/speech", "/v1/audio/dialogue"})
#: What keeps the server well rather than says that a request makes no sense.
REFUSED = frozenset({401, 403, 413, 429, 503})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Characters of a path in the log.
PATH = 200

#: What the line of the request that runs now will say.
_said: ContextVar[dict[str, Any] | None] = ContextVar("antiphon.log", default=None)


class RequestLog:
    """One line per request and per WebSocket: what it was, how it ended, what else was going on. It counts them too."""

    def __init__(self, app: ASGIApp, antiphon: Antiphon) -> None:
        self.app, self.antiphon, self._observer = app, antiphon, antiphon.observer
        self._observer.listen(self._heard)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        said: dict[str, Any] = {}
        scope["antiphon.log"] = said
        token = _said.set(said)
        open_now = self._observer.counters.open
        open_now[kind,] += 1
        try:
            await (self._request if kind == "http" else self._socket)(scope, receive, send, said)
        finally:
            open_now[kind,] -= 1
            _said.reset(token)

    async def _request(self, scope: Scope, receive: Receive, send: Send, said: dict[str, Any]) -> None:
        began = time.perf_counter()
        request_id = ids.new_id()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
                if status == 200 and scope["path"] in SPEECH:
                    self._observer.counters.first_audio.add(time.perf_counter() - began)
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientGone:
            status = status or 499
        except errors.AntiphonError as e:
            # After the status was sent it is too late for another: ending the connection without the last chunk is how
            # HTTP says it. The message may quote what was asked; the log has the code.
            said["code"] = e.code
            if status == 0:
                await answers.response(e, scope["path"])(scope, receive, send_with_id)
        except Exception:
            log.exception("a request failed inside the server", path=_path(scope), request=request_id)
            said["code"] = errors.AntiphonError.code
            if status == 0:
                broken = errors.AntiphonError(f"Something went wrong in the server; its log has request {request_id}")
                await answers.response(broken, scope["path"])(scope, receive, send_with_id)
        finally:
            self._end(scope, scope["method"], status, time.perf_counter() - began, request_id, said)

    async def _socket(self, scope: Scope, receive: Receive, send: Send, said: dict[str, Any]) -> None:
        """Its status is that of the handshake until it closes, then the code with which it was closed."""
        began = time.perf_counter()
        status = 0

        async def receive_noting() -> Message:
            nonlocal status
            message = await receive()
            if message["type"] == "websocket.disconnect":
                status = message.get("code") or status
            return message

        async def send_noting(message: Message) -> None:
            nonlocal status
            match message["type"]:
                case "websocket.accept":
                    status = 101
                case "websocket.close":
                    # Closed before it was accepted, which the client sees as a 403.
                    status = message.get("code", 1000) if status else 403
                case "websocket.http.response.start":
                    status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive_noting, send_noting)
        finally:
            self._end(scope, "WS", status, time.perf_counter() - began, ids.new_id(), said)

    def _end(
        self, scope: Scope, method: str, status: int, seconds: float, request_id: str, said: dict[str, Any]
    ) -> None:
        known = method if method in METHODS or scope["type"] == "websocket" else "other"
        self._observer.answered(known, template(scope), status, seconds)
        if status in REFUSED:
            self._observer.refused(said.get("code", f"http_{status}"))
        quiet = scope["path"] in QUIET and status == 200
        served = self.antiphon.models.served.values()
        (log.debug if quiet else log.info)(
            "request",
            method=log_text(method, PATH),
            path=_path(scope),
            status=status,
            ms=round(seconds * 1000, 1),
            **said,
            active=sum(h.dispatcher.running for h in served),
            queued=sum(len(h.dispatcher.queue) for h in served),
            request=request_id,
            **({"trace": scope["antiphon.trace"]} if "antiphon.trace" in scope else {}),
        )

    def _heard(self, active: ActiveJob, type_: EventType) -> None:
        """Completes the line of the request that a job came with; what the route noted itself stays."""
        said = _said.get()
        if said is None or type_ != "job.queued":
            return
        said.setdefault("model", active.served.name)
        if active.run is not None:
            asked, units = active.run.plan.request, active.units
            for name, value in asked.brief().items():
                said.setdefault(name, log_text(value, self.antiphon.settings.log_text) if name == "text" else value)
            said.setdefault("cached", "hit" if units.cached == units.total else "partial" if units.cached else "miss")


def note(scope: Scope, **facts: Any) -> None:
    """Adds facts to this request's log line."""
    scope["antiphon.log"].update(facts)


def template(scope: Scope) -> str:
    """The route's path with its parameters' names; `other` where there is none. Never what the client sent."""
    path = getattr(scope.get("route"), "path", None)
    if path is not None:
        return str(path)
    return scope["path"] if (scope.get("method"), scope["path"]) in BUSY else "other"


def _path(scope: Scope) -> str:
    """Without its query, which may be anything, and fit for one line."""
    return log_text(scope["path"], PATH)
