"""Models: /v1/models, and the operator's routes that load and unload one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from antiphon.api import callers, openapi
from antiphon.api.replies import reply
from antiphon.api.schemas import ModelList, ModelView
from antiphon.models.registry import ModelRegistry
from antiphon.models.served import ServedModel


def routes(registry: ModelRegistry, *, started_at: float) -> APIRouter:
    """`started_at`: seconds since the epoch; OpenAI's `created` of each model."""
    router = APIRouter(tags=["operations"])
    moved: openapi.Responses = {202: {"model": ModelView}, **openapi.errors(403, 404, 409)}

    @router.get("/v1/models", summary="The served models", responses={200: {"model": ModelList}})
    async def models() -> Response:
        data = [view(served, started_at) for served in registry.selector.ranked()]
        return reply({"object": "list", "data": data})

    @router.post(
        "/v1/models/{id}/load", summary="Load a model into the memory (admin)", status_code=202, responses=moved
    )
    async def load(request: Request, id: str) -> Response:
        callers.require_admin(request)
        return reply(view(registry.load(id), started_at), 202)

    @router.post(
        "/v1/models/{id}/unload",
        summary="Take a model out of the memory once its running work is done (admin)",
        status_code=202,
        responses=moved,
    )
    async def unload(request: Request, id: str) -> Response:
        callers.require_admin(request)
        return reply(view(registry.unload(id), started_at), 202)

    return router


def view(served: ServedModel, started_at: float) -> dict[str, Any]:
    capabilities, spec = served.capabilities, served.spec
    return {
        "id": served.name,
        "object": "model",
        "created": int(started_at),
        "owned_by": "antiphon",
        "kind": served.kind,
        "state": served.state,
        "languages": list(capabilities.languages if capabilities else spec.languages),
        "emotions": list(capabilities.emotions) if capabilities else [],
        "voices": len(capabilities.voices) if capabilities else 0,
        "cloning": bool(capabilities and capabilities.cloning),
        "licence": spec.licence,
    }
