"""For those who watch the server: /health, /livez, /readyz, /v1/models."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from antiphon.api import request_body
from antiphon.api.errors import reply
from antiphon.api.schemas import ErrorObject, Health, ModelList, ModelView
from antiphon.app.antiphon import Antiphon

NO_STORE = {"Cache-Control": "no-store"}
_MOVED: dict[int | str, dict[str, Any]] = {
    403: {"model": ErrorObject, "description": "Only the operator may do that."},
    404: {"model": ErrorObject, "description": "There is no such model here."},
    409: {"model": ErrorObject, "description": "It cannot be loaded or unloaded now; it says why."},
}


def routes(antiphon: Antiphon) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/health", summary="What the server can do now", responses={200: {"model": Health}})
    async def health() -> Response:
        return reply(antiphon.health(), headers=NO_STORE)

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
        if antiphon.jobs.draining:
            return PlainTextResponse("draining", 503, NO_STORE)
        if antiphon.models.selector.primary() is None:
            return PlainTextResponse("no model is ready", 503, NO_STORE)
        return PlainTextResponse("ok", headers=NO_STORE)

    @router.get("/v1/models", summary="The served models", responses={200: {"model": ModelList}})
    async def models() -> Response:
        data = [describe(antiphon, h) for h in antiphon.models.selector.ranked()]
        return reply({"object": "list", "data": data})

    @router.post(
        "/v1/models/{id}/load",
        summary="Load a model into the memory (admin)",
        status_code=202,
        responses={202: {"model": ModelView}, **_MOVED},
    )
    async def load(request: Request, id: str) -> Response:
        request_body.admin(request)
        return reply(describe(antiphon, antiphon.models.load(id)), 202)

    @router.post(
        "/v1/models/{id}/unload",
        summary="Take a model out of the memory once its running work is done (admin)",
        status_code=202,
        responses={202: {"model": ModelView}, **_MOVED},
    )
    async def unload(request: Request, id: str) -> Response:
        request_body.admin(request)
        return reply(describe(antiphon, antiphon.models.unload(id)), 202)

    return router


def describe(antiphon: Antiphon, served: Any) -> dict[str, Any]:
    capabilities, spec = served.capabilities, served.spec
    return {
        "id": served.name,
        "object": "model",
        "created": int(antiphon.started_at),
        "owned_by": "antiphon",
        "kind": served.kind,
        "state": served.state,
        "languages": list(capabilities.languages if capabilities else spec.languages),
        "emotions": list(capabilities.emotions) if capabilities else [],
        "voices": len(capabilities.voices) if capabilities else 0,
        "cloning": bool(capabilities and capabilities.cloning),
        "licence": spec.licence,
    }
