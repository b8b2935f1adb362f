"""Durable jobs: POST, GET, DELETE /v1/jobs, their results, subtitles and events."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from antiphon.api import openapi, request_body
from antiphon.api.disconnect import unless_gone
from antiphon.api.errors import reply
from antiphon.api.events import STREAM, sse_response
from antiphon.api.files import file_response
from antiphon.api.images import ImageJob
from antiphon.api.request_log import note
from antiphon.api.schemas import ErrorObject, JobBody, JobList, JobView
from antiphon.api.speech import BROKEN
from antiphon.api.transcriptions import TranscriptionJob
from antiphon.api.tts import warning
from antiphon.app.antiphon import Antiphon
from antiphon.audio import codec, subtitles
from antiphon.domain import errors
from antiphon.domain.job import State
from antiphon.domain.work import Request as WorkRequest
from antiphon.jobs.webhooks import new_webhook
from antiphon.speech.listen import NotStreamable
from antiphon.store.base import Webhook
from antiphon.text.normalise import log_text

SUBTITLES: Mapping[str, tuple[str, Callable[[Iterable[Mapping[str, Any]]], str]]] = {
    "srt": ("application/x-subrip", subtitles.srt),
    "vtt": ("text/vtt", subtitles.vtt),
    "json": ("application/json", subtitles.to_json),
}
_404: dict[int | str, dict[str, Any]] = {404: {"model": ErrorObject, "description": "No such job of yours."}}
Wanted = Literal["queued", "running", "succeeded", "failed", "cancelled"]


def routes(antiphon: Antiphon) -> APIRouter:
    router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
    jobs, settings = antiphon.jobs, antiphon.settings

    @router.post(
        "",
        summary="Queue a durable job",
        status_code=202,
        responses={202: {"model": JobView}, **BROKEN},
        openapi_extra=openapi.takes(JobBody, TranscriptionJob, ImageJob, headers=openapi.IDEMPOTENCY),
    )
    async def submit(request: Request) -> Response:
        raw = await request_body.body(request, settings.max_body)
        body: JobBody | TranscriptionJob | ImageJob
        asked: WorkRequest
        warnings: list[str] = []
        kind = request_body.member(raw, "type")
        if kind == "transcription":
            body = request_body.parse(TranscriptionJob, raw)
            asked = await body.request(antiphon)
        elif kind == "image":
            body = request_body.parse(ImageJob, raw)
            asked = body.request()
        else:
            body = request_body.parse(JobBody, raw)
            asked, warnings = body.request()
        brief = asked.brief()
        note(request.scope, **brief | {"text": log_text(brief.get("text", ""), settings.log_text)})
        owner = request_body.owner(request)
        key = request_body.idempotency(request, owner, raw)
        job, new = await jobs.submit(asked, owner, key, webhook_of(body))
        note(request.scope, job=job["id"], new=new)
        headers = {"Location": f"/v1/jobs/{job['id']}", **warning([*job["warnings"], *warnings])}
        return reply(job, 202, headers)

    @router.get("", summary="Your jobs, newest first", responses={200: {"model": JobList}})
    async def listing(
        request: Request,
        status: Wanted | None = None,
        after: str | None = None,
        limit: int = Query(50, ge=1, le=500),
    ) -> Response:
        states = (State(status),) if status else None
        found = await jobs.list(request_body.owner(request), states, after, limit)
        return reply({"object": "list", "data": found, "next": found[-1]["id"] if len(found) == limit else None})

    @router.get("/{id}", summary="One job", responses={200: {"model": JobView}, **_404})
    async def one(request: Request, id: str) -> Response:
        return reply(await jobs.get(id, request_body.owner(request)))

    @router.delete("/{id}", summary="Cancel a job", responses={200: {"model": JobView}, **_404})
    async def cancel(request: Request, id: str) -> Response:
        return reply(await jobs.cancel(id, request_body.owner(request)))

    @router.post(
        "/{id}/retry",
        summary="Queue a failed or cancelled job again",
        responses={202: {"model": JobView}, 409: {"model": ErrorObject}, **_404},
        status_code=202,
    )
    async def retry(request: Request, id: str) -> Response:
        return reply(await jobs.retry(id, request_body.owner(request)), 202)

    @router.post(
        "/{id}/units/{index}/retry",
        summary="Make one segment of a finished job anew; the rest is kept",
        responses={202: {"model": JobView}, 409: {"model": ErrorObject}, **_404},
        status_code=202,
    )
    async def retry_unit(request: Request, id: str, index: int) -> Response:
        return reply(await jobs.retry_unit(id, index, request_body.owner(request)), 202)

    @router.get(
        "/{id}/result",
        summary="The result; with wait=true it is waited for, and speech is sent while it is being made",
        responses={
            200: openapi.audio(),
            307: {"description": "With `--objects-reads signed`: where the storage has it, for 15 minutes."},
            409: {"model": ErrorObject, "description": "Not finished, or failed."},
            503: {"model": ErrorObject, "description": "The object storage does not answer; see Retry-After."},
            **_404,
        },
    )
    async def result(request: Request, id: str, wait: bool = False) -> Response:
        owner = request_body.owner(request)
        job = await jobs.stored(id, owner)
        if job.result is not None:
            return await file_response(antiphon, request, job.result.name)
        if job.state.final:
            why = job.error.message if job.error else f"it was {job.state}"
            raise errors.Conflict(f"The job has no result: {why}")
        if not wait:
            raise errors.Conflict("The job is not finished; add ?wait=true to hear it while it is made")
        parts = antiphon.speech.follow(id, owner)
        try:
            first = await unless_gone(request, _next(parts))
        except NotStreamable:
            # It has just ended, waits for something, is made elsewhere, or is no speech: its file is waited for.
            await unless_gone(request, jobs.ended(id, owner))
            return await result(request, id)
        media_type = codec.MEDIA_TYPES[job.request.get("format", "wav")]
        return StreamingResponse(_chain(first, parts), media_type=media_type)

    @router.get(
        "/{id}/subtitles.{kind}",
        summary="Subtitles from the bounds of the segments",
        responses={
            200: {"content": {"text/vtt": {}, "application/x-subrip": {}}},
            409: {"model": ErrorObject},
            **_404,
        },
    )
    async def subtitle(
        request: Request,
        id: str,
        kind: Literal["srt", "vtt", "json"],
        partial: bool = Query(False, description="Of an unfinished job: what is made so far, from the first segment."),
    ) -> Response:
        job = await jobs.stored(id, request_body.owner(request))
        if job.result is None and not partial:
            raise errors.Conflict("The job is not finished; subtitles come with its result, or partial=true")
        if not jobs.kinds[job.type].subtitles:
            raise errors.Conflict(f"A job of kind {job.type} has no subtitles")
        media_type, write = SUBTITLES[kind]
        segments = job.result.segments if job.result is not None else jobs.segments(id)
        text = await antiphon.threads.run(write, segments)
        return Response(text, media_type=media_type)

    @router.get(
        "/{id}/events",
        summary="What happens to one job, as SSE",
        responses={200: STREAM, **_404},
        response_class=StreamingResponse,
    )
    async def events(request: Request, id: str) -> Response:
        await jobs.get(id, request_body.owner(request))
        return sse_response(antiphon, request, job=id)

    return router


def webhook_of(body: JobBody | TranscriptionJob | ImageJob) -> Webhook | None:
    if body.webhook is None:
        return None
    if isinstance(body.webhook, str):
        return new_webhook(body.webhook, None)
    return new_webhook(body.webhook.url, body.webhook.secret)


async def _next(parts: AsyncGenerator[bytes]) -> bytes:
    return await anext(parts)


async def _chain(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with contextlib.aclosing(rest):
        yield first
        async for part in rest:
            yield part
