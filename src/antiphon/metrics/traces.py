"""Traces for OpenTelemetry: one span for each request, and below it what its jobs did: queue, synthesis, encode.

Needs the extra `otel`; imported only if the setting `otlp_endpoint` is there. Spans name the route, the model and the
class, never a path, a query, a text or a client.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from antiphon.app.antiphon import Antiphon
from antiphon.domain.event import FINAL_EVENTS, EventType
from antiphon.jobs.active import ActiveJob
from antiphon.version import __version__

#: Seconds, tries included, that the spans of one batch get: the end of the server waits for its last one.
PATIENCE = 2.0
#: W3C's headers; a client that sends others is not followed.
HEADERS = (b"traceparent", b"tracestate")


def exporting(endpoint: str) -> TracerProvider:
    """Sends spans to a collector, from a thread of its own; a collector that is away costs nothing but the spans."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider = TracerProvider(resource=Resource.create({"service.name": "antiphon", "service.version": __version__}))
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces", timeout=PATIENCE)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class Traces:
    """Listens to the jobs of one server."""

    def __init__(self, antiphon: Antiphon, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("antiphon", __version__)
        antiphon.observer.listen(self._heard)

    @contextlib.contextmanager
    def request(self, name: str, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[Span]:
        """The span of a request, a child of the caller's where `traceparent` names it (W3C Trace Context)."""
        carrier = {key.decode(): value.decode("latin-1") for key, value in headers if key in HEADERS}
        parent = TraceContextTextMapPropagator().extract(carrier)
        # What went wrong is told by the status: an exception's words may quote what was asked.
        with self._tracer.start_as_current_span(
            name, parent, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            yield span

    @staticmethod
    def failed(span: Span) -> None:
        span.set_status(StatusCode.ERROR)

    def _heard(self, active: ActiveJob, type_: EventType) -> None:
        if type_ == "job.queued":
            current = trace.get_current_span().get_span_context()
            active.trace = current if current.is_valid else None
        elif type_ in FINAL_EVENTS and isinstance(active.trace, SpanContext):
            self._job(active, active.trace, str(FINAL_EVENTS[type_]))

    def _job(self, active: ActiveJob, parent: SpanContext, outcome: str) -> None:
        """The job's spans, all at its end: until then there was nothing to know but its beginning."""
        now = time.time()
        started = active.started_at
        self._span("queue", active, parent, active.created_at, started or now, None if started else outcome)
        if started is None:
            return
        made = active.last_unit_at
        self._span("synthesis", active, parent, started, made or now, None if made else outcome)
        if made is not None:
            self._span("encode", active, parent, made, now, outcome)

    def _span(
        self, name: str, active: ActiveJob, parent: SpanContext, begin: float, end: float, outcome: str | None
    ) -> None:
        """`outcome`: how the job ended, if it ended in this span."""
        attributes: dict[str, str | int] = {
            "antiphon.model": active.served.name,
            "antiphon.class": active.priority,
            "antiphon.units.total": active.units.total,
            "antiphon.units.cached": active.units.cached,
        }
        if outcome is not None:
            attributes["antiphon.outcome"] = outcome
        context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        span = self._tracer.start_span(name, context, attributes=attributes, start_time=_nanoseconds(begin))
        if outcome == "failed":
            self.failed(span)
        span.end(_nanoseconds(max(begin, end)))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
