"""Statistics: /metrics for Prometheus, /v1/stats for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse, Response

from antiphon.api.replies import NO_STORE, reply
from antiphon.metrics.exposition import CONTENT_TYPE, Exposition


class Times(BaseModel):
    """Seconds, of the last 24 hours. Percentiles are within 5 %."""

    count: int
    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    max: float | None


class PeakHour(BaseModel):
    at: float = Field(description="When it began, in seconds since the epoch.")
    requests: int


class Requests(BaseModel):
    day: int = Field(description="Accepted in the last 24 hours.")
    failed: int
    cancelled: int
    per_minute: list[int] = Field(description="The last 60 minutes, oldest first; lost in a restart.")
    per_hour: list[int] = Field(description="The last 24 hours, oldest first.")
    peak_hour: PeakHour | None


class Section(BaseModel):
    requests: Requests
    wait: Times = Field(description="From accepted to started, of requests that needed a worker.")
    synthesis: Times = Field(description="From started to the end, of requests that needed a worker.")
    segment: Times = Field(description="Seconds of a worker that a segment took.")
    utilisation: float | None = Field(description="Part of their time that workers computed.")
    utilisation_peak: float | None = Field(description="In the busiest hour.")
    cached_share: float | None = Field(description="Part of all answers that came whole from the cache.")
    audio_seconds: float


class ModelSection(Section):
    state: str
    workers: int
    slots: int


class CacheSection(BaseModel):
    entries: int
    bytes: int
    hits: int
    misses: int
    hit_share: float | None = Field(description="Of all lookups since the start, of segments and whole answers.")


class Prediction(BaseModel):
    workers: int
    utilisation: float = Field(description="Above 1 there is more to do than they can.")
    wait_mean: float | None = Field(description="Seconds; null: the queue grows without end.")
    wait_p95: float | None


class ModelAdvice(BaseModel):
    model: str
    enough_data: bool
    workers: int
    workers_needed: int | None = Field(description="The number with which 95 % wait no longer than the target.")
    peak_hour: float | None = Field(description="When the busiest hour began, in seconds since the epoch.")
    peak_segments: int | None = Field(description="Segments that needed a worker in it.")
    arrivals_per_second: float | None
    service_seconds: float | None = Field(description="Mean seconds of a worker that a segment takes.")
    service_variance: float | None
    measured_wait_p95: float | None
    predictions: list[Prediction] = Field(description="With one worker less, with the present number, with one more.")


class Advice(BaseModel):
    target_wait: float
    en: str
    zh: str
    models: list[ModelAdvice]


class Stats(Section):
    object: str
    at: float
    started_at: float
    cache: CacheSection
    models: dict[str, ModelSection]
    advice: Advice


def routes(exposition: Exposition, report: Callable[[], dict[str, Any]]) -> APIRouter:
    """`report`: what /v1/stats answers."""
    router = APIRouter(tags=["operations"])

    @router.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=PlainTextResponse,
        responses={200: {"description": "Prometheus's text format, version 0.0.4."}},
    )
    async def metrics() -> Response:
        return Response(exposition.text(), headers={**NO_STORE, "Content-Type": CONTENT_TYPE})

    @router.get(
        "/v1/stats",
        summary="The last day: waits, times, load, and how many workers it needs",
        responses={200: {"model": Stats}},
    )
    async def stats() -> Response:
        return reply(report(), headers=NO_STORE)

    return router
