"""Request log: gives every request an id, one log line and, whatever happens, an answer."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.api import errors as answers
from antiphon.api.disconnect import ClientDisconnected
from antiphon.api.fast_path import BUSY
from antiphon.domain import errors, ids
from antiphon.domain.event import EventType
from antiphon.jobs.active import ActiveJob
from antiphon.models.registry import ModelRegistry
from antiphon.stats.observer import Observer
from antiphon.text.normalise import log_text

log = structlog.get_logger("antiphon.http")

#: Paths that machines request so often that their lines would bury the rest; they are logged at the level debug.
QUIET = frozenset({"/health", "/livez", "/readyz", "/metrics"})
#: Paths whose first byte is the first sound.
SPEECH = frozenset({"/v1/audio/speech", "/v1/audio/dialogue"})
#: Statuses that protect the server; others say that the request itself is wrong.
REFUSED = frozenset({401, 403, 413, 429, 503})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Characters of a path in the log.
MAX_PATH = 200

#: The facts for the log line of the current request.
_facts: ContextVar[dict[str, Any] | None] = ContextVar("antiphon.log", default=None)


class RequestLog:
    """Writes one line per request and per WebSocket: what it was, how it ended, and the load. It counts them too."""

    def __init__(self, app: ASGIApp, observer: Observer, models: ModelRegistry, *, log_chars: int) -> None:
        """`log_chars`: characters of a text that the log shows."""
        self.app, self._observer, self._models, self._log_chars = app, observer, models, log_chars
        observer.listen(self._on_job_event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        facts: dict[str, Any] = {}
        scope["antiphon.log"] = facts
        token = _facts.set(facts)
        open_now = self._observer.counters.open
        open_now[kind,] += 1
        try:
            await (self._request if kind == "http" else self._socket)(scope, receive, send, facts)
        finally:
            open_now[kind,] -= 1
            _facts.reset(token)

    async def _request(self, scope: Scope, receive: Receive, send: Send, facts: dict[str, Any]) -> None:
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
        except ClientDisconnected:
            status = status or 499
        except errors.AntiphonError as e:
            # Once the status is sent, the only sign of an error is a connection that ends without the last chunk. The
            # message may quote the request, so the log has the code only.
            facts["code"] = e.code
            if status == 0:
                await answers.response(e, scope["path"])(scope, receive, send_with_id)
        except Exception:
            log.exception("a request failed inside the server", path=_path(scope), request=request_id)
            facts["code"] = errors.AntiphonError.code
            if status == 0:
                broken = errors.AntiphonError(f"Something went wrong in the server; its log has request {request_id}")
                await answers.response(broken, scope["path"])(scope, receive, send_with_id)
        finally:
            self._end(scope, scope["method"], status, time.perf_counter() - began, request_id, facts)

    async def _socket(self, scope: Scope, receive: Receive, send: Send, facts: dict[str, Any]) -> None:
        """The status is that of the handshake until the WebSocket closes, then its close code."""
        began = time.perf_counter()
        status = 0

        async def receive_watched() -> Message:
            nonlocal status
            message = await receive()
            if message["type"] == "websocket.disconnect":
                status = message.get("code") or status
            return message

        async def send_watched(message: Message) -> None:
            nonlocal status
            match message["type"]:
                case "websocket.accept":
                    status = 101
                case "websocket.close":
                    # The client sees a close before the handshake as a 403.
                    status = message.get("code", 1000) if status else 403
                case "websocket.http.response.start":
                    status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive_watched, send_watched)
        finally:
            self._end(scope, "WS", status, time.perf_counter() - began, ids.new_id(), facts)

    def _end(
        self, scope: Scope, method: str, status: int, seconds: float, request_id: str, facts: dict[str, Any]
    ) -> None:
        known = method if method in METHODS or scope["type"] == "websocket" else "other"
        self._observer.answered(known, template(scope), status, seconds)
        if status in REFUSED:
            self._observer.refused(facts.get("code", f"http_{status}"))
        quiet = scope["path"] in QUIET and status == 200
        served = self._models.served.values()
        (log.debug if quiet else log.info)(
            "request",
            method=log_text(method, MAX_PATH),
            path=_path(scope),
            status=status,
            ms=round(seconds * 1000, 1),
            **facts,
            active=sum(h.dispatcher.running for h in served),
            queued=sum(len(h.dispatcher.queue) for h in served),
            request=request_id,
            **({"trace": scope["antiphon.trace"]} if "antiphon.trace" in scope else {}),
        )

    def _on_job_event(self, active: ActiveJob, type_: EventType) -> None:
        """Adds facts of a job to the line of the request that created it; what the route noted stays."""
        facts = _facts.get()
        if facts is None or type_ != "job.queued":
            return
        facts.setdefault("model", active.served.name)
        if active.run is not None:
            units = active.units
            for name, value in active.run.plan.request.brief().items():
                facts.setdefault(name, log_text(value, self._log_chars) if name == "text" else value)
            facts.setdefault("cached", "hit" if units.cached == units.total else "partial" if units.cached else "miss")


def note(scope: Scope, **facts: Any) -> None:
    """Adds facts to this request's log line."""
    scope["antiphon.log"].update(facts)


def template(scope: Scope) -> str:
    """The route's path with its parameters' names, never the client's own path; `other` for a path without a route."""
    path = getattr(scope.get("route"), "path", None)
    if path is not None:
        return str(path)
    return scope["path"] if (scope.get("method"), scope["path"]) in BUSY else "other"


def _path(scope: Scope) -> str:
    """The path on one line, without the query, which may hold anything."""
    return log_text(scope["path"], MAX_PATH)
