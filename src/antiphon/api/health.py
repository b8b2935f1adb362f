"""Health: /health, /livez and /readyz."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from antiphon.api.replies import NO_STORE, reply
from antiphon.api.schemas import Health
from antiphon.jobs.service import JobService
from antiphon.models.registry import ModelRegistry


def routes(report: Callable[[], Mapping[str, Any]], jobs: JobService, models: ModelRegistry) -> APIRouter:
    """`report`: what /health answers."""
    router = APIRouter(tags=["operations"])

    @router.get("/health", summary="What the server can do now", responses={200: {"model": Health}})
    async def health() -> Response:
        return reply(report(), headers=NO_STORE)

    @router.get("/livez", summary="Whether the process answers", response_class=PlainTextResponse)
    async def livez() -> Response:
        return PlainTextResponse("ok", headers=NO_STORE)

    @router.get(
        "/readyz",
        summary="Whether new work is welcome",
        response_class=PlainTextResponse,
        responses={503: {"description": "Draining, or no model can speak yet."}},
    )
    async def readyz() -> Response:
        problem = "draining" if jobs.draining else "no model is ready" if models.selector.primary() is None else None
        return PlainTextResponse(problem or "ok", 503 if problem else 200, NO_STORE)

    return router
