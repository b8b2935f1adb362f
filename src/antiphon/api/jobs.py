"""Durable jobs: POST, GET, DELETE /v1/jobs, retries and events."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from antiphon.api import callers, idempotency, job_bodies, openapi, request_body
from antiphon.api.events import STREAM, EventStreams
from antiphon.api.replies import reply, warning
from antiphon.api.request_log import note
from antiphon.api.schemas import JobList, JobView
from antiphon.api.transcriptions import RecordingReader
from antiphon.domain import errors, ids
from antiphon.domain.job import State
from antiphon.jobs.service import JobService
from antiphon.settings import Settings
from antiphon.text.normalise import log_text

StateName = Literal["queued", "running", "succeeded", "failed", "cancelled"]


def routes(jobs: JobService, recordings: RecordingReader, streams: EventStreams, settings: Settings) -> APIRouter:
    router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

    @router.post(
        "",
        summary="Queue a durable job",
        status_code=202,
        responses={202: {"model": JobView}, **openapi.errors(400, 404, 413, 422, 429, 500, 503)},
        openapi_extra=openapi.takes(*job_bodies.BODIES.values(), headers=openapi.IDEMPOTENCY),
    )
    async def submit(request: Request) -> Response:
        raw = await request_body.body(request, settings.max_body)
        new_job = await job_bodies.read(raw, jobs.kinds, recordings)
        brief = new_job.request.brief()
        note(request.scope, **brief | {"text": log_text(brief.get("text", ""), settings.log_text)})
        owner = callers.owner(request)
        key = idempotency.key_of(request, owner, raw)
        job, new = await jobs.submit(new_job.request, owner, key, new_job.webhook)
        note(request.scope, job=job["id"], new=new)
        headers = {"Location": f"/v1/jobs/{job['id']}", **warning([*job["warnings"], *new_job.warnings])}
        return reply(job, 202, headers)

    _add_lookups(router, jobs, streams)
    _add_changes(router, jobs)
    return router


def _add_lookups(router: APIRouter, jobs: JobService, streams: EventStreams) -> None:
    @router.get("", summary="Your jobs, newest first", responses={200: {"model": JobList}})
    async def listing(
        request: Request,
        status: StateName | None = None,
        after: str | None = None,
        limit: int = Query(50, ge=1, le=500),
    ) -> Response:
        if after is not None and not ids.is_id(after):
            raise errors.InvalidRequest("after must be the id of a job: `next` of the page before", param="after")
        states = (State(status),) if status else None
        found = await jobs.list(callers.owner(request), states, after, limit)
        return reply({"object": "list", "data": found, "next": found[-1]["id"] if len(found) == limit else None})

    @router.get("/{id}", summary="One job", responses={200: {"model": JobView}, **openapi.errors(404)})
    async def one(request: Request, id: str) -> Response:
        return reply(await jobs.get(id, callers.owner(request)))

    @router.get(
        "/{id}/events",
        summary="What happens to one job, as SSE",
        responses={200: STREAM, **openapi.errors(404)},
        response_class=StreamingResponse,
    )
    async def events(request: Request, id: str) -> Response:
        await jobs.get(id, callers.owner(request))
        return streams.sse(request, job=id)


def _add_changes(router: APIRouter, jobs: JobService) -> None:
    queued_again: openapi.Responses = {202: {"model": JobView}, **openapi.errors(404, 409)}

    @router.delete("/{id}", summary="Cancel a job", responses={200: {"model": JobView}, **openapi.errors(404)})
    async def cancel(request: Request, id: str) -> Response:
        return reply(await jobs.cancel(id, callers.owner(request)))

    @router.post(
        "/{id}/retry", summary="Queue a failed or cancelled job again", responses=queued_again, status_code=202
    )
    async def retry(request: Request, id: str) -> Response:
        return reply(await jobs.retry(id, callers.owner(request)), 202)

    @router.post(
        "/{id}/units/{index}/retry",
        summary="Make one segment of a finished job again; the others stay",
        responses=queued_again,
        status_code=202,
    )
    async def retry_unit(request: Request, id: str, index: int) -> Response:
        return reply(await jobs.retry_unit(id, index, callers.owner(request)), 202)
