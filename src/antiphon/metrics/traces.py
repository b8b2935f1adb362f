"""Traces for OpenTelemetry: one span for each request, and below it what its jobs did: queue, synthesis, encode.

Needs the extra `otel`; imported only with the setting `otlp_endpoint`. Spans name the route, the model and the
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

from antiphon.domain.event import FINAL_EVENTS, EventType
from antiphon.jobs.active import ActiveJob
from antiphon.stats.observer import Observer
from antiphon.version import __version__

#: Seconds, retries included, to send one batch of spans; the server's end waits for the last batch.
EXPORT_TIMEOUT = 2.0
#: W3C's headers, the only ones that are read.
HEADERS = (b"traceparent", b"tracestate")


def exporting(endpoint: str) -> TracerProvider:
    """Sends spans to a collector from a thread of its own. While the collector is away, spans are lost."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider = TracerProvider(resource=Resource.create({"service.name": "antiphon", "service.version": __version__}))
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces", timeout=EXPORT_TIMEOUT)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class Traces:
    """The spans of one server's requests and jobs."""

    def __init__(self, observer: Observer, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("antiphon", __version__)
        observer.listen(self._on_job_event)

    @contextlib.contextmanager
    def request(self, name: str, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[Span]:
        """The span of a request, a child of the span that `traceparent` names (W3C Trace Context)."""
        carrier = {key.decode(): value.decode("latin-1") for key, value in headers if key in HEADERS}
        parent = TraceContextTextMapPropagator().extract(carrier)
        # The status says what went wrong: an exception's message may quote the request.
        with self._tracer.start_as_current_span(
            name, parent, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            yield span

    @staticmethod
    def failed(span: Span) -> None:
        span.set_status(StatusCode.ERROR)

    def _on_job_event(self, active: ActiveJob, type_: EventType) -> None:
        if type_ == "job.queued":
            current = trace.get_current_span().get_span_context()
            active.trace = current if current.is_valid else None
        elif type_ in FINAL_EVENTS and isinstance(active.trace, SpanContext):
            self._job(active, active.trace, str(FINAL_EVENTS[type_]))

    def _job(self, active: ActiveJob, parent: SpanContext, outcome: str) -> None:
        """Writes all spans of a job at its end, when their times are known."""
        now = time.time()
        started = active.started_at
        self._span("queue", active, parent, active.created_at, started or now, None if started else outcome)
        if started is None:
            return
        synthesised = active.last_unit_at
        self._span("synthesis", active, parent, started, synthesised or now, None if synthesised else outcome)
        if synthesised is not None:
            self._span("encode", active, parent, synthesised, now, outcome)

    def _span(
        self, name: str, active: ActiveJob, parent: SpanContext, begin: float, end: float, outcome: str | None
    ) -> None:
        """Writes one span. `outcome`: how the job ended, if it ended in this span."""
        attributes: dict[str, str | int] = {
            "antiphon.model": active.served.name,
            "antiphon.class": active.priority,
            "antiphon.units.total": active.units.total,
            "antiphon.units.cached": active.units.cached,
            **({} if outcome is None else {"antiphon.outcome": outcome}),
        }
        context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        span = self._tracer.start_span(name, context, attributes=attributes, start_time=_nanoseconds(begin))
        if outcome == "failed":
            self.failed(span)
        span.end(_nanoseconds(max(begin, end)))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
