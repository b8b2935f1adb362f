"""Tracing: a span around every request and WebSocket, as a child of the client's span. Only with `otlp_endpoint`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.api.request_log import METHODS, QUIET, template
from antiphon.domain import errors
from antiphon.stats.observer import Observer

if TYPE_CHECKING:
    from antiphon.metrics.traces import Traces


def exporting(endpoint: str, observer: Observer) -> Traces:
    """Traces that go to the collector at `endpoint`. Raises `InvalidRequest` if OpenTelemetry is not installed."""
    try:
        from antiphon.metrics import traces

        provider = traces.exporting(endpoint)
    except ImportError as e:
        raise errors.InvalidRequest(
            f"--otlp-endpoint needs OpenTelemetry, which is not installed ({e.name}): pip install 'antiphon[otel]'",
            param="otlp_endpoint",
        ) from e
    return traces.Traces(observer, provider)


class Traced:
    """The outermost layer, so that the span holds the time of all others."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self.app, self._traces = app, traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in QUIET:
            await self.app(scope, receive, send)
            return
        method = scope.get("method", "WS")
        if method not in METHODS and method != "WS":
            method = "other"
        status = 0

        async def send_watched(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
            await send(message)

        with self._traces.request(method, scope["headers"]) as span:
            scope["antiphon.trace"] = format(span.get_span_context().trace_id, "032x")
            try:
                await self.app(scope, receive, send_watched)
            finally:
                route = template(scope)
                span.update_name(f"{method} {route}")
                span.set_attributes({"http.request.method": method, "http.route": route})
                if status:
                    span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    self._traces.failed(span)
