"""A span around every request and WebSocket, with W3C's traceparent taken from it. Only there if traces are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.api.request_log import METHODS, QUIET, template
from antiphon.app.antiphon import Antiphon
from antiphon.domain import errors

if TYPE_CHECKING:
    from antiphon.metrics.traces import Traces


def wanted(antiphon: Antiphon) -> Traces | None:
    """The traces that the settings ask for. Raises `InvalidRequest` if what they need is not installed."""
    endpoint = antiphon.settings.otlp_endpoint
    if not endpoint:
        return None
    try:
        from antiphon.metrics import traces

        provider = traces.exporting(endpoint)
    except ImportError as e:
        raise errors.InvalidRequest(
            f"--otlp-endpoint needs OpenTelemetry, which is not installed ({e.name}): pip install 'antiphon[otel]'",
            param="otlp_endpoint",
        ) from e
    return traces.Traces(antiphon, provider)


class Traced:
    """Outside of everything else, so that the time of all of it is in the span."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self.app, self._traces = app, traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in QUIET:
            await self.app(scope, receive, send)
            return
        asked = scope.get("method", "WS")
        method = asked if asked in METHODS or asked == "WS" else "other"
        status = 0

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
            await send(message)

        with self._traces.request(method, scope["headers"]) as span:
            scope["antiphon.trace"] = format(span.get_span_context().trace_id, "032x")
            try:
                await self.app(scope, receive, send_noting)
            finally:
                route = template(scope)
                span.update_name(f"{method} {route}")
                span.set_attributes({"http.request.method": method, "http.route": route})
                if status:
                    span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    self._traces.failed(span)
