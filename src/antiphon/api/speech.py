"""OpenAI's speech: POST /v1/audio/speech and /v1/audio/dialogue, streamed while it is made."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from antiphon.api import callers, idempotency, openapi, request_body
from antiphon.api.bodies import DialogueBody, SpeechBody
from antiphon.api.client_limits import begin_stream
from antiphon.api.disconnect import unless_disconnected
from antiphon.api.files import FinishedFiles
from antiphon.api.replies import chain, warning
from antiphon.api.request_log import note
from antiphon.domain.request import SpeechRequest
from antiphon.jobs.service import JobService
from antiphon.settings import Settings
from antiphon.speech.response import SpeechResponse
from antiphon.speech.service import SpeechService
from antiphon.store.base import Idempotency
from antiphon.text.length import length
from antiphon.text.normalise import log_text

#: Length units from which an answer is streamed with its first segment cut short, unless one segment is all of it: some
#: four seconds, for which a client would wait longer than for their beginning.
LONG = 60.0
#: Segments up to which an answer whose segments are all cached is sent in one piece, with its true length. More would
#: stay in memory for every slow reader.
PIECES = 2


def routes(service: SpeechService, jobs: JobService, files: FinishedFiles, settings: Settings) -> APIRouter:
    router = APIRouter(prefix="/v1/audio", tags=["speech"])
    answers = SpeechAnswers(service, jobs, files, settings.log_text)
    responses = {200: openapi.audio(), **openapi.errors(400, 404, 413, 422, 429, 500, 503)}
    headers = {"Cache-Control": "no-cache: synthesise again; no-store: store nothing", **openapi.IDEMPOTENCY}

    @router.post(
        "/speech",
        summary="Speak a text, as OpenAI's route does",
        responses=responses,
        openapi_extra=openapi.takes(SpeechBody, headers=headers),
    )
    async def speech(request: Request) -> Response:
        raw = await request_body.body(request, settings.max_body)
        return await answers.respond(request, raw, request_body.parse(SpeechBody, raw))

    @router.post(
        "/dialogue",
        summary="Speak a dialogue: turns of voice and text, one audio",
        responses=responses,
        openapi_extra=openapi.takes(DialogueBody, headers=headers),
    )
    async def dialogue(request: Request) -> Response:
        raw = await request_body.body(request, settings.max_body)
        return await answers.respond(request, raw, request_body.parse(DialogueBody, raw))

    return router


@dataclass(frozen=True, slots=True)
class SpeechAnswers:
    speech: SpeechService
    jobs: JobService
    files: FinishedFiles
    #: Characters of a text that the log shows.
    log_chars: int

    async def respond(self, request: Request, raw: bytes, body: SpeechBody | DialogueBody) -> Response:
        """Speaks while the caller waits; with an Idempotency-Key as a durable job, whose file is the answer."""
        speech_request, warnings = body.to_request()
        note(request.scope, **speech_request.brief() | {"text": log_text(speech_request.text, self.log_chars)})
        owner = callers.owner(request)
        key = idempotency.key_of(request, owner, raw)
        if key is not None:
            return await self._once(request, speech_request, key, warnings)
        cache_control = request.headers.get("cache-control", "")
        as_events = body.stream_format == "sse"
        speech = await self.speech.speak(
            speech_request,
            owner,
            streamed=as_events or is_long(speech_request),
            read_cache="no-cache" not in cache_control and "no-store" not in cache_control,
            write_cache="no-store" not in cache_control,
        )
        note(request.scope, model=speech.plan.model, cached=speech.cache_status)
        try:
            if as_events:
                return await begin(request, speech, sse(speech), "text/event-stream", warnings)
            if speech.run.total == 1 or (speech.run.total <= PIECES and not speech.run.missing()):
                data = await unless_disconnected(request, speech.whole())
                return Response(data, headers=headers(speech, warnings), media_type=speech.plan.media_type)
            return await begin(request, speech, speech.stream(), speech.plan.media_type, warnings)
        except BaseException:
            speech.close()
            raise

    async def _once(
        self, request: Request, speech_request: SpeechRequest, key: Idempotency, warnings: list[str]
    ) -> Response:
        """The same key gives the same file, to the first caller and to every repetition."""
        job, result = await idempotency.once(request, self.jobs, speech_request, key)
        response = await self.files.respond(request, result.name)
        response.headers.update({"X-Job-Id": job["id"], **warning([*job["warnings"], *warnings])})
        return response


def is_long(request: SpeechRequest) -> bool:
    """Whether a caller gains by hearing the beginning before the end. A Chinese character takes as long as two or three
    letters."""
    return length(request.text[: int(LONG) + 1]) > LONG


class SpeechStream(StreamingResponse):
    """Closes the speech however the answer ends, also when it never began."""

    def __init__(
        self, speech: SpeechResponse, parts: AsyncGenerator[bytes], media_type: str, headers: dict[str, str]
    ) -> None:
        super().__init__(parts, headers=headers, media_type=media_type)
        self._speech, self._parts = speech, parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._parts.aclose()
            self._speech.close()


async def begin(
    request: Request, speech: SpeechResponse, parts: AsyncGenerator[bytes], media_type: str, warnings: list[str]
) -> Response:
    """Answers once the first part is there, so that a request that fails gets an error instead of half a file."""
    begin_stream(request)
    first = await unless_disconnected(request, anext(parts))
    return SpeechStream(speech, chain(first, parts), media_type, headers(speech, warnings))


async def sse(speech: SpeechResponse) -> AsyncGenerator[bytes]:
    """OpenAI's events: `speech.audio.delta` with base64 audio, then `speech.audio.done` with the usage."""
    async with contextlib.aclosing(speech.stream()) as parts:
        async for part in parts:
            delta = {"type": "speech.audio.delta", "audio": base64.b64encode(part).decode()}
            yield b"data: " + msgspec.json.encode(delta) + b"\n\n"
    assert speech.result is not None
    usage = usage_of(len(speech.plan.request.text), speech.result.duration)
    # What was left out after the headers were sent is said here.
    left_out = {"warnings": list(speech.warnings)} if speech.warnings else {}
    yield b"data: " + msgspec.json.encode({"type": "speech.audio.done", "usage": usage, **left_out}) + b"\n\n"


def usage_of(characters: int, seconds: float) -> dict[str, int]:
    """OpenAI's usage, counted in tokens there; the nearest true numbers are characters in and 20 ms frames out."""
    frames = round(seconds * 50)
    return {"input_tokens": characters, "output_tokens": frames, "total_tokens": characters + frames}


def headers(speech: SpeechResponse, warnings: list[str]) -> dict[str, str]:
    active = speech.job.active
    now = time.time()
    queued = 1000 * ((active.started_at or now) - active.created_at)
    worked = 1000 * (now - (active.started_at or now))
    return {
        "X-Job-Id": speech.id,
        "X-Cache": speech.cache_status,
        "Server-Timing": f"queue;dur={queued:.1f}, synthesis;dur={worked:.1f}",
        **warning([*speech.warnings, *warnings]),
    }
