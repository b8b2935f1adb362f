"""OpenAI's speech: POST /v1/audio/speech, streamed as it is made."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from antiphon.api import openapi, request_body
from antiphon.api.disconnect import unless_gone
from antiphon.api.files import file_response
from antiphon.api.request_log import note
from antiphon.api.schemas import DialogueBody, ErrorObject, SpeechBody
from antiphon.api.tts import finished, warning
from antiphon.app.antiphon import Antiphon
from antiphon.domain.request import SpeechRequest
from antiphon.speech.response import SpeechResponse
from antiphon.store.base import Idempotency
from antiphon.text.normalise import log_text

BROKEN: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorObject},
    404: {"model": ErrorObject, "description": "The model is not served."},
    413: {"model": ErrorObject},
    422: {"model": ErrorObject, "description": "The Idempotency-Key was used before with another body."},
    429: {"model": ErrorObject, "description": "Too much work of yours is waiting; see Retry-After."},
    500: {"model": ErrorObject, "description": "The synthesis failed."},
    503: {
        "model": ErrorObject,
        "description": "No model can speak yet, or the queue is full; see Retry-After.",
    },
}


#: Characters from which an answer is streamed with its first segment cut short.
LONG = 200
#: Segments up to which an answer that is there already goes out in one piece, with its true length. More would be
#: held whole for every slow reader.
PIECES = 2


def routes(antiphon: Antiphon) -> APIRouter:
    router = APIRouter(prefix="/v1/audio", tags=["speech"])
    settings = antiphon.settings
    answers = {200: openapi.audio(), **BROKEN}
    headers = {"Cache-Control": "no-cache: make it anew; no-store: keep nothing", **openapi.IDEMPOTENCY}

    @router.post(
        "/speech",
        summary="Speak a text, as OpenAI's route does",
        responses=answers,
        openapi_extra=openapi.takes(SpeechBody, headers=headers),
    )
    async def speech(request: Request) -> Response:
        raw = await request_body.body(request, settings.max_body)
        return await answer(antiphon, request, raw, request_body.parse(SpeechBody, raw))

    @router.post(
        "/dialogue",
        summary="Speak a dialogue: turns of voice and text, one audio",
        responses=answers,
        openapi_extra=openapi.takes(DialogueBody, headers=headers),
    )
    async def dialogue(request: Request) -> Response:
        raw = await request_body.body(request, settings.max_body)
        return await answer(antiphon, request, raw, request_body.parse(DialogueBody, raw))

    return router


async def answer(antiphon: Antiphon, request: Request, raw: bytes, body: SpeechBody | DialogueBody) -> Response:
    """Speaks while the caller waits; with an Idempotency-Key as a durable job, whose file is the answer."""
    asked, warnings = body.asked()
    note(
        request.scope,
        text=log_text(asked.text, antiphon.settings.log_text),
        emotion=",".join(asked.emotion) or "neutral",
    )
    owner = request_body.owner(request)
    key = request_body.idempotency(request, owner, raw)
    if key is not None:
        return await once(antiphon, request, asked, key, warnings)
    control = request.headers.get("cache-control", "")
    as_events = body.stream_format == "sse"
    spoken = await antiphon.speech.speak(
        asked,
        owner,
        streamed=as_events or len(asked.text) > LONG,
        read_cache="no-cache" not in control and "no-store" not in control,
        write_cache="no-store" not in control,
    )
    note(request.scope, model=spoken.plan.model, cached=spoken.cache_status)
    try:
        if as_events:
            return await begin(request, spoken, sse(spoken), "text/event-stream", warnings)
        if spoken.run.total == 1 or (spoken.run.total <= PIECES and not spoken.run.missing()):
            return await whole(request, spoken, warnings)
        return await begin(request, spoken, spoken.stream(), spoken.plan.media_type, warnings)
    except BaseException:
        spoken.close()
        raise


async def once(
    antiphon: Antiphon, request: Request, asked: SpeechRequest, key: Idempotency, warnings: list[str]
) -> Response:
    """The same key gives the same file, to the first caller and to every repetition."""
    job, _ = await antiphon.jobs.submit(asked, key.owner, key)
    result = await unless_gone(request, finished(antiphon, job["id"], key.owner))
    response = await file_response(antiphon, request, result.name)
    response.headers.update({"X-Job-Id": job["id"], **warning([*job["warnings"], *warnings])})
    return response


async def whole(request: Request, speech: SpeechResponse, warnings: list[str]) -> Response:
    """An answer that is there at once, or in one piece: with its true length."""
    data = await unless_gone(request, speech.whole())
    return Response(data, headers=headers(speech, warnings), media_type=speech.plan.media_type)


class SpeechStream(StreamingResponse):
    """Gives the speech's place back however the answer ends, also when it never began."""

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
    first = await unless_gone(request, _next(parts))

    async def all_parts() -> AsyncGenerator[bytes]:
        yield first
        async with contextlib.aclosing(parts):
            async for part in parts:
                yield part

    return SpeechStream(speech, all_parts(), media_type, headers(speech, warnings))


async def _next(parts: AsyncGenerator[bytes]) -> bytes:
    return await anext(parts)


async def sse(speech: SpeechResponse) -> AsyncGenerator[bytes]:
    """OpenAI's events: `speech.audio.delta` with base64 audio, then `speech.audio.done` with the usage."""
    async with contextlib.aclosing(speech.stream()) as parts:
        async for part in parts:
            delta = {"type": "speech.audio.delta", "audio": base64.b64encode(part).decode()}
            yield b"data: " + msgspec.json.encode(delta) + b"\n\n"
    assert speech.result is not None
    # Tokens are OpenAI's unit of account; the nearest true numbers here are characters in, and 20 ms frames out.
    taken, made = len(speech.plan.request.text), round(speech.result.duration * 50)
    usage = {"input_tokens": taken, "output_tokens": made, "total_tokens": taken + made}
    yield b"data: " + msgspec.json.encode({"type": "speech.audio.done", "usage": usage}) + b"\n\n"


def headers(speech: SpeechResponse, warnings: list[str]) -> dict[str, str]:
    active = speech.job.active
    now = time.time()
    queued = 1000 * ((active.started_at or now) - active.created_at)
    worked = 1000 * (now - (active.started_at or now))
    return {
        "X-Job-Id": speech.id,
        "X-Cache": speech.cache_status,
        "Server-Timing": f"queue;dur={queued:.1f}, synthesis;dur={worked:.1f}",
        **warning([*speech.plan.warnings, *warnings]),
    }
