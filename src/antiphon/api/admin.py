"""The operator's routes: the queue, pause, resume, front, class, and the workers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from antiphon.api import openapi, request_body
from antiphon.api.errors import reply
from antiphon.api.schemas import ErrorObject, JobView, Own, QueueView
from antiphon.app.antiphon import Antiphon
from antiphon.jobs.queue_control import SHOWN, Control

ERRORS: dict[int | str, dict[str, Any]] = {403: {"model": ErrorObject}, 404: {"model": ErrorObject}}


class HoldBody(Own):
    """What to pause or resume: one job, one client, or, with neither, everything."""

    job: str | None = None
    client: str | None = None


class ClassBody(Own):
    priority: Literal["vip", "normal", "bulk"]


def routes(antiphon: Antiphon) -> APIRouter:
    router = APIRouter(tags=["operations"])
    control = Control(antiphon.jobs)

    def view() -> Response:
        return reply({"object": "queue", "paused": control.paused, "data": control.look(SHOWN)})

    @router.get("/v1/queue", summary="Everybody's queue, by expected end", responses={200: {"model": QueueView}})
    async def queue(request: Request) -> Response:
        request_body.admin(request)
        return view()

    @router.post(
        "/v1/queue/pause",
        summary="Hand out nothing of a job, a client or anything; what runs goes on",
        responses={200: {"model": QueueView}, **ERRORS},
        openapi_extra=openapi.takes(HoldBody),
    )
    async def pause(request: Request) -> Response:
        body = await _hold(request)
        control.pause(body.job, body.client)
        return view()

    @router.post(
        "/v1/queue/resume",
        summary="End what the same pause began",
        responses={200: {"model": QueueView}, **ERRORS},
        openapi_extra=openapi.takes(HoldBody),
    )
    async def resume(request: Request) -> Response:
        body = await _hold(request)
        control.resume(body.job, body.client)
        return view()

    @router.post("/v1/queue/{id}/front", summary="Put a job first", responses={200: {"model": JobView}, **ERRORS})
    async def front(request: Request, id: str) -> Response:
        request_body.admin(request)
        return reply(control.front(id))

    @router.post(
        "/v1/queue/{id}/class",
        summary="Put a job into another class",
        responses={200: {"model": JobView}, **ERRORS},
        openapi_extra=openapi.takes(ClassBody),
    )
    async def change_class(request: Request, id: str) -> Response:
        request_body.admin(request)
        body = request_body.parse(ClassBody, await request_body.body(request, 4096))
        return reply(control.change_class(id, body.priority))

    @router.delete("/v1/queue/{id}", summary="Cancel anybody's job", responses={200: {"model": JobView}, **ERRORS})
    async def cancel(request: Request, id: str) -> Response:
        request_body.admin(request)
        return reply(await antiphon.jobs.cancel(id))

    @router.get("/v1/webhooks/secret", summary="What webhooks without a secret of their own are signed with")
    async def secret(request: Request) -> Response:
        request_body.admin(request)
        return reply({"secret": antiphon.webhooks.secret})

    @router.get("/v1/workers", summary="Worker processes: state, memory, units, restarts")
    async def workers(request: Request) -> Response:
        data = [{"model": h.name, **asdict(w)} for h in antiphon.models.selector.ranked() for w in h.pool.workers()]
        owner = request_body.whose(request)
        for worker in data if owner is not None else ():
            # Whose work it is, is nobody else's business; that there is some, everybody may know.
            worker["busy"] = ["another's"] * len(worker["busy"])
        cards = [asdict(gpu) | {"free": gpu.free} for gpu in antiphon.models.gpus]
        return reply({"object": "list", "data": data, "gpus": cards})

    return router


async def _hold(request: Request) -> HoldBody:
    request_body.admin(request)
    raw = await request_body.body(request, 4096)
    return request_body.parse(HoldBody, raw or b"{}")
