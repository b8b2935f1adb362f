"""OpenAI's speech: POST /v1/audio/speech, streamed as it is made, and the voices that can be asked for."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from antiphon.api import docs, reading
from antiphon.api.article import warning
from antiphon.api.errors import reply
from antiphon.api.middleware import note
from antiphon.api.schemas import ErrorObject, SpeechBody, VoiceList
from antiphon.api.waiting import unless_gone
from antiphon.service.app import Antiphon
from antiphon.service.speech import Speech
from antiphon.text.normalise import log_text

BROKEN: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorObject},
    404: {"model": ErrorObject, "description": "The model is not served."},
    413: {"model": ErrorObject},
    429: {"model": ErrorObject, "description": "Too much work of yours is waiting; see Retry-After."},
    500: {"model": ErrorObject, "description": "The synthesis failed."},
    503: {
        "model": ErrorObject,
        "description": "No model can speak yet, or the queue is full; see Retry-After.",
    },
}


def routes(antiphon: Antiphon) -> APIRouter:
    router = APIRouter(prefix="/v1/audio", tags=["speech"])
    settings = antiphon.settings

    @router.post(
        "/speech",
        summary="Speak a text, as OpenAI's route does",
        responses={200: docs.audio(), **BROKEN},
        openapi_extra=docs.takes(
            SpeechBody, headers={"Cache-Control": "no-cache: make it anew; no-store: keep nothing"}
        ),
    )
    async def speech(request: Request) -> Response:
        body = reading.parse(SpeechBody, await reading.body(request, settings.max_body))
        asked, warnings = body.request()
        note(
            request.scope,
            text=log_text(body.input, settings.log_text),
            emotion=",".join(asked.emotion) or "neutral",
        )
        control = request.headers.get("cache-control", "")
        streamed = body.stream_format == "sse" or len(asked.text) > 200
        spoken = await antiphon.jobs.speak(
            asked,
            reading.owner(request),
            streamed=streamed,
            read_cache="no-cache" not in control and "no-store" not in control,
            write_cache="no-store" not in control,
        )
        note(request.scope, model=spoken.plan.model, cached=spoken.hit)
        try:
            answer = sse if body.stream_format == "sse" else stream
            if answer is stream and (spoken.run.total == 1 or not spoken.run.missing()):
                return await whole(request, spoken, warnings)
            return await begin(request, spoken, answer(spoken), body.stream_format == "sse", warnings)
        except BaseException:
            spoken.close()
            raise

    @router.get("/voices", summary="Voices of the served models", response_model=VoiceList)
    async def voices() -> Response:
        return reply({"voices": antiphon.voices()})

    return router


async def whole(request: Request, speech: Speech, warnings: list[str]) -> Response:
    """An answer that is there at once, or in one piece: with its true length."""
    data = await unless_gone(request, speech.whole())
    return Response(data, headers=headers(speech, warnings), media_type=speech.plan.media_type)


async def begin(
    request: Request, speech: Speech, parts: AsyncIterator[bytes], sse: bool, warnings: list[str]
) -> Response:
    """Answers once the first part is there, so that a request that fails gets an error instead of half a file."""
    first = await unless_gone(request, anext(parts))  # type: ignore[arg-type]

    async def rest() -> AsyncIterator[bytes]:
        try:
            yield first
            async for part in parts:
                yield part
        finally:
            speech.close()

    media_type = "text/event-stream" if sse else speech.plan.media_type
    return StreamingResponse(rest(), headers=headers(speech, warnings), media_type=media_type)


def stream(speech: Speech) -> AsyncIterator[bytes]:
    return speech.stream()


async def sse(speech: Speech) -> AsyncIterator[bytes]:
    """OpenAI's events: `speech.audio.delta` with base64 audio, then `speech.audio.done` with the usage."""
    async for part in speech.stream():
        delta = {"type": "speech.audio.delta", "audio": base64.b64encode(part).decode()}
        yield b"data: " + msgspec.json.encode(delta) + b"\n\n"
    assert speech.result is not None
    # Tokens are OpenAI's unit of account; the nearest true numbers here are characters in, and 20 ms frames out.
    taken, made = len(speech.plan.request.text), round(speech.result.duration * 50)
    usage = {"input_tokens": taken, "output_tokens": made, "total_tokens": taken + made}
    yield b"data: " + msgspec.json.encode({"type": "speech.audio.done", "usage": usage}) + b"\n\n"


def headers(speech: Speech, warnings: list[str]) -> dict[str, str]:
    live = speech.live
    now = time.time()
    queued = 1000 * ((live.started_at or now) - live.created_at)
    worked = 1000 * (now - (live.started_at or now))
    return {
        "X-Job-Id": speech.id,
        "X-Cache": speech.hit,
        "Server-Timing": f"queue;dur={queued:.1f}, synthesis;dur={worked:.1f}",
        **warning([*speech.plan.warnings, *warnings]),
    }
