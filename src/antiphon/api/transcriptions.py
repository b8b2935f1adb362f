"""OpenAI's speech recognition: POST /v1/audio/transcriptions and /v1/audio/translations."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from fastapi import APIRouter, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response, StreamingResponse

from antiphon.api import callers, multipart, openapi
from antiphon.api.client_limits import begin_stream
from antiphon.api.disconnect import unless_disconnected
from antiphon.api.errors import body_of
from antiphon.api.replies import reply
from antiphon.api.request_log import note
from antiphon.api.schemas import JobView
from antiphon.domain import client_values, errors
from antiphon.domain.transcription import FORMATS, Task, TranscriptionRequest
from antiphon.jobs.service import JobService
from antiphon.jobs.waiting import WaitingJob
from antiphon.models.selection import ModelSelector
from antiphon.sandbox import speech_audio
from antiphon.text import transcript
from antiphon.transcription import kind as transcription
from antiphon.transcription.recordings import RecordingStore

#: The beginning of a recording inside JSON.
_DATA = re.compile(r"data:(?:audio|video)/[\w.+-]+(?:;[\w=.+-]+)*;base64,", re.ASCII)

_FORM: dict[str, Any] = {
    "file": {
        "type": "string",
        "format": "binary",
        "description": "WAV, MP3, FLAC, Ogg, Opus, AAC, M4A or WebM; at most 200 MiB and 4 hours.",
    },
    "model": {"type": "string", "description": "whisper-base …; whisper-1 and auto mean the best that is served."},
    "language": {"type": "string", "description": "Of the speech, such as en or zh; detected if absent."},
    "prompt": {"type": "string", "maxLength": 1000, "description": "Spelling and style to go by."},
    "response_format": {"type": "string", "enum": list(FORMATS), "default": "json"},
    "temperature": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
    "timestamp_granularities[]": {"type": "array", "items": {"type": "string", "enum": ["word", "segment"]}},
    "stream": {"type": "boolean", "default": False, "description": "Each part as soon as it is transcribed, as SSE."},
    "priority": {"type": "string", "enum": ["vip", "normal", "bulk"], "default": "normal"},
}
_MEDIA_TYPES = ("application/json", "text/plain", "application/x-subrip", "text/vtt", "text/event-stream")
_RESPONSES: openapi.Responses = {
    200: {
        "description": "What was said, in the format that was asked for.",
        "content": {media_type: {} for media_type in _MEDIA_TYPES},
    },
    202: {"model": JobView, "description": "With `Prefer: respond-async`: a durable job."},
    **openapi.errors(400, 404, 413, 429, 500, 503),
}


def routes(jobs: JobService, recordings: RecordingReader) -> APIRouter:
    router = APIRouter(prefix="/v1/audio", tags=["transcriptions"])
    takes = openapi.takes_form(_FORM, "file")

    async def answer(request: Request, task: Task) -> Response:
        owner = callers.owner(request)
        async with multipart.form_with_file(request, speech_audio.MAX_BYTES) as form:
            transcription_request = await recordings.from_form(form, task)
            stream = str(form.get("stream", "")).lower() in ("true", "1")
        note(request.scope, **transcription_request.brief())
        if "respond-async" in request.headers.get("prefer", ""):
            accepted, _ = await jobs.submit(transcription_request, owner)
            return reply(accepted, 202, {"Location": f"/v1/jobs/{accepted['id']}"})
        if stream:
            begin_stream(request)
            job = await jobs.begin(transcription_request, owner)
            return StreamingResponse(_stream(job), media_type="text/event-stream", headers=_headers(job))
        async with jobs.waiting(transcription_request, owner) as job:
            data = await unless_disconnected(request, transcription.whole(job))
        return Response(data, media_type=transcription.plan_of(job).media_type, headers=_headers(job))

    @router.post("/transcriptions", summary="Write down what is said", responses=_RESPONSES, openapi_extra=takes)
    async def transcribe(request: Request) -> Response:
        return await answer(request, "transcribe")

    @router.post("/translations", summary="Write it down in English", responses=_RESPONSES, openapi_extra=takes)
    async def translate(request: Request) -> Response:
        return await answer(request, "translate")

    return router


@dataclass(frozen=True, slots=True)
class RecordingReader:
    """Decodes and stores the recordings that requests carry."""

    selector: ModelSelector
    store: RecordingStore

    async def from_form(self, form: FormData, task: Task) -> TranscriptionRequest:
        """The request of a form, with its recording. Raises `InvalidRequest`."""
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise errors.InvalidRequest("The file `file` is missing", param="file")
        fields: Mapping[str, str] = {key: value for key, value in form.multi_items() if isinstance(value, str)}
        words = "word" in form.getlist("timestamp_granularities[]") + form.getlist("timestamp_granularities")
        format_: Any = fields.get("response_format") or "json"
        priority: Any = fields.get("priority") or "normal"
        if words and format_ != "verbose_json":
            raise errors.InvalidRequest(
                "timestamp_granularities needs response_format verbose_json", param="timestamp_granularities"
            )
        request = TranscriptionRequest(
            audio="", bounds=(), seconds=0.0, task=task, format=format_, words=words, priority=priority,
            model=fields.get("model") or None, language=language_tag(fields.get("language")),
            prompt=fields.get("prompt", ""),
            temperature=client_values.number(fields.get("temperature") or "0", "temperature"),
        )  # fmt: skip
        return await self.attach(request, file.file)

    async def attach(self, request: TranscriptionRequest, file: BinaryIO) -> TranscriptionRequest:
        """The request with its recording, decoded and stored. Raises `InvalidRequest`, `ModelLoading` and its kin."""
        # A model that is not served is reported before minutes are spent on the recording.
        self.selector.choose_kind(request.model, request.type, request.language)
        recording = await self.store.put(file)
        return replace(request, audio=recording.digest, bounds=recording.bounds, seconds=recording.seconds)


def data_of_url(url: str) -> bytes:
    """The recording inside a data: URL. Raises `InvalidRequest`."""
    head = _DATA.match(url)
    if head is None:
        raise errors.InvalidRequest("audio must be a data: URL of audio in base64", param="audio")
    try:
        return base64.b64decode(url[head.end() :], validate=True)
    except ValueError:
        raise errors.InvalidRequest("audio is not valid base64", param="audio") from None


def language_tag(text: str | None) -> str | None:
    tag = (text or "").strip().lower().partition("-")[0]
    if tag and not (tag.isascii() and tag.isalpha() and len(tag) <= 3):
        raise errors.InvalidRequest(f"language must be a tag such as en or zh, not {tag[:20]!r}", param="language")
    return tag or None


def _headers(job: WaitingJob) -> dict[str, str]:
    return {"X-Job-Id": job.id, "X-Cache": job.cache_status, "Cache-Control": "no-store"}


async def _stream(job: WaitingJob) -> AsyncGenerator[bytes]:
    """OpenAI's events: `transcript.text.delta` for each part, `transcript.text.done` with all of it."""
    plan = transcription.plan_of(job)
    text = ""
    try:
        # A client that disconnects ends the job.
        with job:
            async with contextlib.aclosing(transcription.pieces(job.run, plan)) as parts:
                async for part in parts:
                    longer = transcript.follow(text, part["text"], part["language"])
                    yield _event({"type": "transcript.text.delta", "delta": longer[len(text) :]})
                    text = longer
            job.succeed(transcription.result_of(len(text.encode()), plan))
        yield _event({"type": "transcript.text.done", "text": text})
    except errors.AntiphonError as e:
        yield _event({"type": "error", **body_of(e)})


def _event(data: Mapping[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
