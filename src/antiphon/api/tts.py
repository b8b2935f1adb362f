"""The article's surface: POST /tts, GET /status, GET /output/…, WS /ws."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from antiphon.api import openapi, request_body
from antiphon.api.disconnect import unless_gone
from antiphon.api.errors import reply
from antiphon.api.files import file_response
from antiphon.api.request_log import note
from antiphon.api.schemas import Accepted, ErrorText, Status, TtsAnswer, TtsBody, asked_voice
from antiphon.app.antiphon import Antiphon
from antiphon.domain import errors
from antiphon.domain.job import Result
from antiphon.domain.request import ARTICLE_EMOTIONS, SpeechRequest, check_text
from antiphon.store.base import Idempotency
from antiphon.text.normalise import clean, log_text

MAX_TTS_TEXT = 500
MAX_TTS_BODY = 64 * 1024
BROKEN: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorText, "description": "What is wrong with the request, and the field."},
    413: {"model": ErrorText},
    422: {"model": ErrorText, "description": "An unknown field."},
    429: {"model": ErrorText, "description": "Too much work of yours is waiting; see Retry-After."},
    500: {"model": ErrorText, "description": "The synthesis failed."},
    503: {
        "model": ErrorText,
        "description": "No model can speak yet, or the queue is full; see Retry-After.",
    },
}


def routes(antiphon: Antiphon) -> APIRouter:
    router = APIRouter(tags=["article"])
    log_chars = antiphon.settings.log_text

    @router.post(
        "/tts",
        summary="Speak up to 500 characters",
        responses={200: {"model": TtsAnswer}, 202: {"model": Accepted}, **BROKEN},
        openapi_extra=openapi.takes(
            TtsBody, headers={"Prefer": "respond-async: answer 202 at once", **openapi.IDEMPOTENCY}
        ),
    )
    async def tts(request: Request) -> Response:
        raw = await request_body.body(request, MAX_TTS_BODY)
        body = request_body.parse(TtsBody, raw)
        # An emotion that there is none of may be anything, a text among it.
        emotion = body.emotion if body.emotion in ARTICLE_EMOTIONS else "?"
        note(request.scope, text=log_text(body.text, log_chars), emotion=emotion)
        asked = tts_request(body)
        owner = request_body.owner(request)
        key = request_body.idempotency(request, owner, raw)
        if not body.wait or "respond-async" in request.headers.get("prefer", ""):
            return await accept(asked, owner, key)
        if key is not None:
            return await once(request, asked, owner, key)
        speech = await antiphon.speech.speak(asked, owner)
        note(request.scope, model=speech.plan.model, cached=speech.cache_status)
        try:
            result = await unless_gone(request, speech.file())
        finally:
            speech.close()
        # The file may be asked of another server.
        await antiphon.jobs.recorded(speech.id)
        answer = tts_answer(speech.id, result, speech.cache_status == "hit", list(speech.plan.warnings))
        return reply(
            answer, headers={"X-Job-Id": speech.id, "X-Cache": speech.cache_status, **warning(speech.plan.warnings)}
        )

    async def once(request: Request, asked: SpeechRequest, owner: str, key: Idempotency) -> Response:
        """With a key the request is a durable job that its first caller and every repetition wait for."""
        job, _ = await antiphon.jobs.submit(asked, owner, key)
        result = await unless_gone(request, finished(antiphon, job["id"], owner))
        answer = tts_answer(job["id"], result, False, job["warnings"])
        return reply(answer, headers={"X-Job-Id": job["id"], **warning(job["warnings"])})

    async def accept(asked: SpeechRequest, owner: str, key: Idempotency | None) -> Response:
        job, _ = await antiphon.jobs.submit(asked, owner, key)
        path = f"/status?id={job['id']}"
        answer = {key: job[key] for key in ("id", "status", "position", "eta")}
        return reply({**answer, "status_path": path}, 202, {"Location": path, **warning(job["warnings"])})

    @router.get(
        "/status",
        summary="How far a request is",
        responses={200: {"model": Status}, 404: {"model": ErrorText}},
    )
    async def status(request: Request, id: str = "") -> Response:
        job = await antiphon.jobs.get(id, request_body.whose(request))
        result = job["result"]
        return reply(
            {
                "id": job["id"],
                "status": job["status"],
                "progress": job["progress"],
                "position": job["position"],
                "eta": job["eta"],
                "audio_path": result["path"] if result else None,
                "error": job["error"]["message"] if job["error"] else None,
            }
        )

    @router.get(
        "/output/{name}",
        summary="A finished file",
        responses={
            200: openapi.audio("The audio."),
            206: {"description": "A range of it."},
            307: {"description": "With `--objects-reads signed`: where the storage has it, for 15 minutes."},
            404: {"model": ErrorText},
            503: {"model": ErrorText, "description": "The object storage does not answer; see Retry-After."},
        },
    )
    async def output(request: Request, name: str) -> Response:
        return await file_response(antiphon, request, name)

    return router


async def finished(antiphon: Antiphon, job_id: str, owner: str) -> Result:
    """Waits for a durable job; raises what it failed with."""
    job = await antiphon.jobs.ended(job_id, owner)
    if job.result is not None:
        return job.result
    if job.error is not None:
        raise errors.UnitFailed(job.error.message)
    raise errors.Cancelled


def tts_answer(job_id: str, result: Result, cached: bool, warnings: list[str]) -> dict[str, Any]:
    answer = {
        "id": job_id,
        "status": "succeeded",
        "audio_path": f"/output/{result.name}",
        "duration": round(result.duration, 3),
        "cached": cached,
    }
    return {**answer, "warnings": warnings} if warnings else answer


def tts_request(body: TtsBody) -> SpeechRequest:
    """The article's checks, in the article's words."""
    text = clean(body.text.strip()) if len(body.text) <= MAX_TTS_BODY else ""
    if not 1 <= len(text) <= MAX_TTS_TEXT:
        raise errors.InvalidText(f"Text must be 1-{MAX_TTS_TEXT} characters", param="text")
    check_text(text, MAX_TTS_TEXT)
    if body.emotion not in ARTICLE_EMOTIONS:
        raise errors.InvalidRequest("Invalid emotion type", param="emotion")
    return SpeechRequest(
        text=text,
        model=body.model,
        voice=asked_voice(body.voice),
        emotion={} if body.emotion == "neutral" else {body.emotion: 1.0},
        speed=float(body.speed),
        seed=body.seed,
        priority=body.priority,
    )


def warning(warnings: tuple[str, ...] | list[str]) -> dict[str, str]:
    """The header that says what the model could not do (RFC 7234, section 5.5, code 299)."""
    if not warnings:
        return {}
    text = "; ".join(warnings).encode("ascii", "replace").decode().replace('"', "'")
    return {"Warning": f'299 antiphon "{text[:400]}"'}
