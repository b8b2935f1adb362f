"""Job results: GET /v1/jobs/{id}/result and /v1/jobs/{id}/subtitles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from antiphon.api import callers, openapi
from antiphon.api.client_limits import begin_stream
from antiphon.api.disconnect import unless_disconnected
from antiphon.api.files import FinishedFiles
from antiphon.api.replies import chain
from antiphon.audio import codec, subtitles
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.jobs.service import JobService
from antiphon.speech.listen import NotStreamable
from antiphon.speech.service import SpeechService

SUBTITLES: Mapping[str, tuple[str, Callable[[Iterable[Mapping[str, Any]]], str]]] = {
    "srt": ("application/x-subrip", subtitles.srt),
    "vtt": ("text/vtt", subtitles.vtt),
    "json": ("application/json", subtitles.to_json),
}


def routes(jobs: JobService, speech: SpeechService, files: FinishedFiles, threads: Threads) -> APIRouter:
    router = APIRouter(prefix="/v1/jobs/{id}", tags=["jobs"])

    @router.get(
        "/result",
        summary="The result; with wait=true it is waited for, and speech is sent while it is being made",
        responses={**openapi.file("Audio, as it is made."), 307: openapi.SIGNED, **openapi.errors(404, 409, 503)},
    )
    async def result(request: Request, id: str, wait: bool = False) -> Response:
        owner = callers.owner(request)
        job = await jobs.stored(id, owner)
        if job.result is not None:
            return await files.respond(request, job.result.name)
        if job.state.final:
            why = job.error.message if job.error else f"it was {job.state}"
            raise errors.Conflict(f"The job has no result: {why}")
        if not wait:
            raise errors.Conflict("The job is not finished; add ?wait=true to hear it while it is made")
        begin_stream(request)
        parts = speech.follow(id, owner)
        try:
            first = await unless_disconnected(request, anext(parts))
        except NotStreamable:
            # The job has just ended, waits for something, runs on another server or is not speech: wait for its file.
            await unless_disconnected(request, jobs.ended(id, owner))
            return await result(request, id)
        media_type = codec.MEDIA_TYPES[job.request.get("format", "wav")]
        return StreamingResponse(chain(first, parts), media_type=media_type)

    @router.get(
        "/subtitles.{kind}",
        summary="Subtitles from the bounds of the segments",
        responses={200: {"content": {"text/vtt": {}, "application/x-subrip": {}}}, **openapi.errors(404, 409)},
    )
    async def subtitle(
        request: Request,
        id: str,
        kind: Literal["srt", "vtt", "json"],
        partial: bool = Query(False, description="Of an unfinished job: what is made so far, from the first segment."),
    ) -> Response:
        job = await jobs.stored(id, callers.owner(request))
        if job.result is None and not partial:
            raise errors.Conflict("The job is not finished; subtitles come with its result, or partial=true")
        if not jobs.kinds[job.type].subtitles:
            raise errors.Conflict(f"A job of kind {job.type} has no subtitles")
        media_type, write = SUBTITLES[kind]
        segments = job.result.segments if job.result is not None else jobs.segments(id)
        text = await threads.run(write, segments)
        return Response(text, media_type=media_type)

    return router
