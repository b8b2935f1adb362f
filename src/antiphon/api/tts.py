"""The article's routes: POST /tts, GET /status, GET /output/…."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from antiphon.api import callers, idempotency, openapi, request_body
from antiphon.api.bodies import TtsBody, voice_name
from antiphon.api.disconnect import unless_disconnected
from antiphon.api.files import FinishedFiles
from antiphon.api.replies import reply, warning
from antiphon.api.request_log import note
from antiphon.api.schemas import Accepted, ErrorText, Status, TtsAnswer
from antiphon.domain import errors
from antiphon.domain.job import Result
from antiphon.domain.request import ARTICLE_EMOTIONS, SpeechRequest, check_text
from antiphon.jobs.service import JobService
from antiphon.speech.service import SpeechService
from antiphon.store.base import Idempotency
from antiphon.text.normalise import clean, log_text

MAX_TTS_TEXT = 500
MAX_TTS_BODY = 64 * 1024


def routes(speech: SpeechService, jobs: JobService, files: FinishedFiles, *, log_chars: int) -> APIRouter:
    """`log_chars`: characters of a text that the log shows."""
    router = APIRouter(tags=["article"])
    answers = TtsAnswers(speech, jobs, log_chars)

    @router.post(
        "/tts",
        summary="Speak up to 500 characters",
        responses={
            200: {"model": TtsAnswer},
            202: {"model": Accepted},
            **openapi.errors(400, 413, 422, 429, 500, 503, shape=ErrorText),
        },
        openapi_extra=openapi.takes(
            TtsBody, headers={"Prefer": "respond-async: answer 202 at once", **openapi.IDEMPOTENCY}
        ),
    )
    async def tts(request: Request) -> Response:
        return await answers.respond(request)

    @router.get(
        "/status",
        summary="How far a request is",
        responses={200: {"model": Status}, **openapi.errors(404, shape=ErrorText)},
    )
    async def status(request: Request, id: str = "") -> Response:
        job = await jobs.get(id, callers.visible_owner(request))
        path = job["result"]["path"] if job["result"] else None
        error = job["error"]["message"] if job["error"] else None
        fields = {name: job[name] for name in ("id", "status", "progress", "position", "eta", "warnings")}
        return reply({**fields, "audio_path": path, "error": error})

    @router.get(
        "/output/{name}",
        summary="A finished file",
        responses={**openapi.file(), 307: openapi.SIGNED, **openapi.errors(404, 503, shape=ErrorText)},
    )
    async def output(request: Request, name: str) -> Response:
        return await files.respond(request, name)

    return router


@dataclass(frozen=True, slots=True)
class TtsAnswers:
    """`POST /tts`."""

    speech: SpeechService
    jobs: JobService
    log_chars: int

    async def respond(self, request: Request) -> Response:
        raw = await request_body.body(request, MAX_TTS_BODY)
        body = request_body.parse(TtsBody, raw)
        # A client may have written anything into an emotion that does not exist, such as the text itself.
        emotion = body.emotion if body.emotion in ARTICLE_EMOTIONS else "?"
        note(request.scope, text=log_text(body.text, self.log_chars), emotion=emotion)
        speech_request = await self.speech.text_threads.run_text(len(body.text), to_request, body)
        owner = callers.owner(request)
        key = idempotency.key_of(request, owner, raw)
        if not body.wait or "respond-async" in request.headers.get("prefer", ""):
            return await self._accept(speech_request, owner, key)
        if key is not None:
            return await self._once(request, speech_request, key)
        return await self._speak(request, speech_request, owner)

    async def _speak(self, request: Request, speech_request: SpeechRequest, owner: str) -> Response:
        speech = await self.speech.speak(speech_request, owner)
        note(request.scope, model=speech.plan.model, cached=speech.cache_status)
        with closing(speech):
            result = await unless_disconnected(request, speech.file())
        # The client may ask another server for the file.
        await self.jobs.recorded(speech.id)
        answer = tts_answer(speech.id, result, speech.cache_status == "hit", list(speech.warnings))
        headers = {"X-Job-Id": speech.id, "X-Cache": speech.cache_status, **warning(speech.warnings)}
        return reply(answer, headers=headers)

    async def _once(self, request: Request, speech_request: SpeechRequest, key: Idempotency) -> Response:
        """A request with a key is a durable job that its first caller and every repetition wait for."""
        job, result = await idempotency.once(request, self.jobs, speech_request, key)
        answer = tts_answer(job["id"], result, False, job["warnings"])
        return reply(answer, headers={"X-Job-Id": job["id"], **warning(job["warnings"])})

    async def _accept(self, speech_request: SpeechRequest, owner: str, key: Idempotency | None) -> Response:
        job, _ = await self.jobs.submit(speech_request, owner, key)
        path = f"/status?id={job['id']}"
        answer = {field: job[field] for field in ("id", "status", "position", "eta")}
        return reply({**answer, "status_path": path}, 202, {"Location": path, **warning(job["warnings"])})


def tts_answer(job_id: str, result: Result, cached: bool, warnings: list[str]) -> dict[str, Any]:
    answer = {
        "id": job_id,
        "status": "succeeded",
        "audio_path": f"/output/{result.name}",
        "duration": round(result.duration, 3),
        "cached": cached,
    }
    return {**answer, "warnings": warnings} if warnings else answer


def to_request(body: TtsBody) -> SpeechRequest:
    """The article's checks, with the article's messages. Raises `InvalidRequest`."""
    text = clean(body.text.strip()) if len(body.text) <= MAX_TTS_BODY else ""
    if not 1 <= len(text) <= MAX_TTS_TEXT:
        raise errors.InvalidText(f"Text must be 1-{MAX_TTS_TEXT} characters", param="text")
    check_text(text, MAX_TTS_TEXT)
    if body.emotion not in ARTICLE_EMOTIONS:
        raise errors.InvalidRequest("Invalid emotion type", param="emotion")
    return SpeechRequest(
        text=text,
        model=body.model,
        voice=voice_name(body.voice),
        emotion={body.emotion: 1.0},
        speed=float(body.speed),
        seed=body.seed,
        priority=body.priority,
    )
