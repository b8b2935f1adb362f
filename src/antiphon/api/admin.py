"""Administration: the operator's routes for the queue, the workers and the webhooks' secret."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from antiphon.api import callers, openapi, request_body
from antiphon.api.bodies import StrictBody
from antiphon.api.replies import reply
from antiphon.api.schemas import JobView, QueueView
from antiphon.jobs.queue_control import QueueControl
from antiphon.jobs.service import JobService
from antiphon.jobs.webhooks import Webhooks
from antiphon.models.registry import ModelRegistry


class HoldBody(StrictBody):
    """What to pause or resume: one job, one client, or, with neither, everything."""

    job: str | None = None
    client: str | None = None


class ClassBody(StrictBody):
    priority: Literal["vip", "normal", "bulk"]


def routes(control: QueueControl, jobs: JobService, models: ModelRegistry, webhooks: Webhooks) -> APIRouter:
    router = APIRouter(tags=["operations"])
    _add_queue(router, control)
    _add_jobs(router, control, jobs)
    _add_insight(router, models, webhooks)
    return router


def _add_queue(router: APIRouter, control: QueueControl) -> None:
    responses: openapi.Responses = {200: {"model": QueueView}, **openapi.errors(400, 403, 404, 413, 422)}

    @router.get("/v1/queue", summary="The queue of all clients, by expected end", responses={200: {"model": QueueView}})
    async def queue(request: Request) -> Response:
        callers.require_admin(request)
        return reply(control.view())

    @router.post(
        "/v1/queue/pause",
        summary="Pause a job, a client or everything; running segments go on",
        responses=responses,
        openapi_extra=openapi.takes(HoldBody),
    )
    async def pause(request: Request) -> Response:
        body = await _hold_body(request)
        await control.pause(body.job, body.client)
        return reply(control.view())

    @router.post(
        "/v1/queue/resume",
        summary="Resume a job, a client or everything that was paused",
        responses=responses,
        openapi_extra=openapi.takes(HoldBody),
    )
    async def resume(request: Request) -> Response:
        body = await _hold_body(request)
        await control.resume(body.job, body.client)
        return reply(control.view())


async def _hold_body(request: Request) -> HoldBody:
    callers.require_admin(request)
    raw = await request_body.body(request, 4096)
    return request_body.parse(HoldBody, raw or b"{}")


def _add_jobs(router: APIRouter, control: QueueControl, jobs: JobService) -> None:
    responses: openapi.Responses = {200: {"model": JobView}, **openapi.errors(403, 404)}
    with_body: openapi.Responses = {**responses, **openapi.errors(400, 413, 422)}

    @router.post("/v1/queue/{id}/front", summary="Put a job first", responses=responses)
    async def front(request: Request, id: str) -> Response:
        callers.require_admin(request)
        return reply(await control.front(id))

    @router.post(
        "/v1/queue/{id}/class",
        summary="Put a job into another class",
        responses=with_body,
        openapi_extra=openapi.takes(ClassBody),
    )
    async def change_class(request: Request, id: str) -> Response:
        callers.require_admin(request)
        body = request_body.parse(ClassBody, await request_body.body(request, 4096))
        return reply(await control.change_class(id, body.priority))

    @router.delete("/v1/queue/{id}", summary="Cancel any client's job", responses=responses)
    async def cancel(request: Request, id: str) -> Response:
        callers.require_admin(request)
        return reply(await jobs.cancel(id))


def _add_insight(router: APIRouter, models: ModelRegistry, webhooks: Webhooks) -> None:
    @router.get("/v1/webhooks/secret", summary="The secret that signs webhooks without a secret of their own")
    async def secret(request: Request) -> Response:
        callers.require_admin(request)
        return reply({"secret": webhooks.secret})

    @router.get("/v1/workers", summary="Worker processes: state, memory, units, restarts")
    async def workers(request: Request) -> Response:
        ranked = models.selector.ranked()
        data = [{"model": served.name, **asdict(worker)} for served in ranked for worker in served.pool.workers()]
        if callers.visible_owner(request) is not None:
            # Every caller may see that a worker is busy, but not whose jobs it has.
            for worker in data:
                worker["busy"] = ["another's"] * len(worker["busy"])
        cards = [asdict(gpu) | {"free": gpu.free} for gpu in models.gpus]
        return reply({"object": "list", "data": data, "gpus": cards})
