"""Traces: one span for each request, what its jobs did below it, and nothing of it unless it is wanted."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import PATIENCE
from tests.e2e.test_request_log import CANARY, TEXT

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
async def traced(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Any]]:
    """The application with a tracer whose spans stay in memory."""
    pytest.importorskip("opentelemetry.sdk", reason="needs pip install 'antiphon[otel]'")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from antiphon.api.app import create_app
    from antiphon.api.tracing import Traced
    from antiphon.app.antiphon import Antiphon
    from antiphon.metrics.traces import Traces

    provider, spans = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    async with Antiphon(model=("tone",), data_dir=tmp_path / "data", workers=1) as antiphon:
        app = Traced(create_app(antiphon), Traces(antiphon.observer, provider))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client, spans


async def test_a_request_is_a_span_with_its_jobs_below_it(traced: tuple[httpx.AsyncClient, Any]) -> None:
    client, exporter = traced
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    answer = await client.post("/v1/audio/speech", json={"input": TEXT, "voice": "tone"}, headers=headers)
    assert answer.status_code == 200
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {"POST /v1/audio/speech", "queue", "synthesis", "encode"}
    request = spans.pop("POST /v1/audio/speech")
    assert format(request.context.trace_id, "032x") == TRACE
    assert format(request.parent.span_id, "016x") == "b7ad6b7169203331"
    assert request.attributes["http.route"] == "/v1/audio/speech"
    assert request.attributes["http.response.status_code"] == 200
    for span in spans.values():
        assert span.context.trace_id == request.context.trace_id
        assert span.parent.span_id == request.context.span_id
        assert span.attributes["antiphon.model"] == "tone"
    order = [spans[name] for name in ("queue", "synthesis", "encode")]
    assert [a.end_time <= b.start_time for a, b in itertools.pairwise(order)] == [True, True]
    assert CANARY not in "".join(span.to_json() for span in exporter.get_finished_spans())


async def test_a_durable_job_belongs_to_the_request_that_brought_it(traced: tuple[httpx.AsyncClient, Any]) -> None:
    client, exporter = traced
    one, other = [(await client.post("/v1/jobs", json={"input": f"Job {n}. {TEXT}"})).json() for n in range(2)]

    async def ended() -> None:
        for job in (one, other):
            while (await client.get(f"/v1/jobs/{job['id']}")).json()["status"] != "succeeded":
                await asyncio.sleep(0.01)

    await asyncio.wait_for(ended(), PATIENCE)
    spans = exporter.get_finished_spans()
    requests = [span for span in spans if span.name == "POST /v1/jobs"]
    assert len({span.context.trace_id for span in requests}) == 2
    for request in requests:
        below = [span.name for span in spans if span.parent and span.parent.span_id == request.context.span_id]
        assert sorted(below) == ["encode", "queue", "synthesis"]


async def test_a_refused_request_is_told_by_its_status(traced: tuple[httpx.AsyncClient, Any]) -> None:
    client, exporter = traced
    assert (await client.post("/v1/audio/speech", json={"input": TEXT, "model": CANARY})).status_code == 404
    await client.get("/health")
    (span,) = exporter.get_finished_spans()
    assert span.attributes["http.response.status_code"] == 404
    assert not span.events


def test_opentelemetry_is_not_loaded_unless_it_is_asked_for() -> None:
    code = (
        "import sys, asyncio, tempfile, pathlib\n"
        "from antiphon.api.app import create_app\n"
        "from antiphon.app.antiphon import Antiphon\n"
        "create_app(Antiphon(data_dir=pathlib.Path(tempfile.mkdtemp())))\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'antiphon.metrics.traces'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert found.stdout.strip() == "[]"


def test_without_the_extra_the_option_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['opentelemetry.sdk'] = None\n"
        "from antiphon.cli.main import main\n"
        f"sys.argv = ['antiphon', 'serve', '--port', '0', '--data-dir', {str(tmp_path / 'd')!r}, '--model', 'tone',\n"
        "            '--otlp-endpoint', 'http://127.0.0.1:9']\n"
        "main()"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert found.returncode == 1
    assert "pip install 'antiphon[otel]'" in found.stderr
