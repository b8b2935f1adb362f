"""OpenAI's speech recognition: POST /v1/audio/transcriptions and /v1/audio/translations."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, BinaryIO, Literal

from fastapi import APIRouter, Request
from pydantic import Field, StrictStr
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response, StreamingResponse

from antiphon.api import multipart, request_body
from antiphon.api.disconnect import unless_gone
from antiphon.api.errors import body_of, reply
from antiphon.api.request_log import note
from antiphon.api.schemas import ErrorObject, JobView, Own, WebhookBody
from antiphon.app.antiphon import Antiphon
from antiphon.domain import errors
from antiphon.domain.request import parse_deadline
from antiphon.domain.transcription import FORMATS, Task, TranscriptionRequest
from antiphon.jobs.waiting import WaitingJob
from antiphon.sandbox import speech_audio
from antiphon.text import transcript
from antiphon.transcription import kind as transcription

#: Of a recording that comes inside JSON.
_DATA = re.compile(r"data:(?:audio|video)/[\w.+-]+(?:;[\w=.+-]+)*;base64,", re.ASCII)


class TranscriptionJob(Own):
    """`POST /v1/jobs` for a recording."""

    type: Literal["transcription"]
    audio: StrictStr = Field(description="The recording as a data: URL in base64; larger ones go to the route above.")
    task: Literal["transcribe", "translate"] = "transcribe"
    model: StrictStr | None = None
    language: StrictStr | None = None
    prompt: StrictStr = ""
    temperature: float = 0.0
    response_format: Literal["json", "text", "srt", "vtt", "verbose_json"] = "json"
    words: bool = Field(False, description="The times of words, in verbose_json.")
    priority: Literal["vip", "normal", "bulk"] = "normal"
    webhook: StrictStr | WebhookBody | None = Field(None, description="A URL that is told when the job has ended.")
    deadline: StrictStr | None = Field(None, description="06:00 or an ISO 8601 time.")

    async def request(self, antiphon: Antiphon) -> TranscriptionRequest:
        head = _DATA.match(self.audio)
        if head is None:
            raise errors.InvalidRequest("audio must be a data: URL of audio in base64", param="audio")
        try:
            data = base64.b64decode(self.audio[head.end() :], validate=True)
        except ValueError:
            raise errors.InvalidRequest("audio is not valid base64", param="audio") from None
        deadline = parse_deadline(self.deadline, datetime.now().astimezone()) if self.deadline is not None else None
        drawn = TranscriptionRequest(
            "", (), 0.0, self.task, self.model, _language(self.language), self.prompt, self.temperature,
            self.response_format, self.words, self.priority, deadline,
        )  # fmt: skip
        return await _heard(antiphon, drawn, io.BytesIO(data))


_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {
            "type": "string",
            "format": "binary",
            "description": "WAV, MP3, FLAC, Ogg, Opus, AAC, M4A or WebM; at most 200 MiB and 4 hours.",
        },
        "model": {"type": "string", "description": "whisper-base …; whisper-1 and auto mean the best that is served."},
        "language": {
            "type": "string",
            "description": "Of what is said, such as en or zh; without it, found out.",
        },
        "prompt": {"type": "string", "maxLength": 1000, "description": "Spelling and style to go by."},
        "response_format": {"type": "string", "enum": list(FORMATS), "default": "json"},
        "temperature": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
        "timestamp_granularities[]": {"type": "array", "items": {"type": "string", "enum": ["word", "segment"]}},
        "stream": {
            "type": "boolean",
            "default": False,
            "description": "Each part as soon as it is heard, as SSE.",
        },
        "priority": {"type": "string", "enum": ["vip", "normal", "bulk"], "default": "normal"},
    },
}
_TAKES = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "What was said, in the format that was asked for.",
        "content": {
            "application/json": {},
            "text/plain": {},
            "application/x-subrip": {},
            "text/vtt": {},
            "text/event-stream": {},
        },
    },
    202: {"model": JobView, "description": "With `Prefer: respond-async`: a durable job."},
    400: {"model": ErrorObject, "description": "The form or the recording cannot be used; it says why."},
    404: {"model": ErrorObject, "description": "There is no such model."},
    413: {"model": ErrorObject, "description": "The recording is too large."},
    429: {"model": ErrorObject, "description": "Too much work of yours is waiting; see Retry-After."},
    500: {"model": ErrorObject, "description": "Recognition failed."},
    503: {"model": ErrorObject, "description": "No model can do it now, or the queue is full; see Retry-After."},
}


def routes(antiphon: Antiphon) -> APIRouter:
    router = APIRouter(prefix="/v1/audio", tags=["transcriptions"])

    @router.post("/transcriptions", summary="Write down what is said", responses=_ANSWERS, openapi_extra=_TAKES)
    async def transcribe(request: Request) -> Response:
        return await _answer(antiphon, request, "transcribe")

    @router.post("/translations", summary="Write it down in English", responses=_ANSWERS, openapi_extra=_TAKES)
    async def translate(request: Request) -> Response:
        return await _answer(antiphon, request, "translate")

    return router


async def _answer(antiphon: Antiphon, request: Request, task: Task) -> Response:
    owner = request_body.owner(request)
    async with multipart.multipart(request, speech_audio.MAX_BYTES) as form:
        asked, stream = await _read(antiphon, form, task)
    note(request.scope, **asked.brief())
    if "respond-async" in request.headers.get("prefer", ""):
        accepted, _ = await antiphon.jobs.submit(asked, owner)
        return reply(accepted, 202, {"Location": f"/v1/jobs/{accepted['id']}"})
    if stream:
        job = await antiphon.jobs.begin(asked, owner)
        return StreamingResponse(_stream(job), media_type="text/event-stream", headers=_headers(job))
    async with antiphon.jobs.waiting(asked, owner) as job:
        data = await unless_gone(request, transcription.whole(job))
    return Response(data, media_type=transcription.plan_of(job).media_type, headers=_headers(job))


async def _read(antiphon: Antiphon, form: FormData, task: Task) -> tuple[TranscriptionRequest, bool]:
    """The request, its recording decoded and kept, and whether its answer is streamed."""
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise errors.InvalidRequest("The file `file` is missing", param="file")
    fields: Mapping[str, str] = {key: value for key, value in form.multi_items() if isinstance(value, str)}
    words = "word" in form.getlist("timestamp_granularities[]") + form.getlist("timestamp_granularities")
    form_of: Any = fields.get("response_format") or "json"
    priority: Any = fields.get("priority") or "normal"
    if words and form_of != "verbose_json":
        raise errors.InvalidRequest(
            "timestamp_granularities needs response_format verbose_json", param="timestamp_granularities"
        )
    drawn = TranscriptionRequest(
        audio="",
        bounds=(),
        seconds=0.0,
        task=task,
        model=fields.get("model") or None,
        language=_language(fields.get("language")),
        prompt=fields.get("prompt", ""),
        temperature=_number(fields.get("temperature")),
        format=form_of,
        words=words,
        priority=priority,
    )
    made = await _heard(antiphon, drawn, file.file)
    return made, fields.get("stream", "").lower() in ("true", "1")


async def _heard(antiphon: Antiphon, drawn: TranscriptionRequest, file: BinaryIO) -> TranscriptionRequest:
    """The request with its recording, decoded and kept."""
    # A model that is not here is told before minutes are spent on the recording.
    antiphon.models.selector.choose_kind(drawn.model, "transcription", drawn.language)
    upload = await antiphon.recordings.take(file)
    return replace(drawn, audio=upload.digest, bounds=upload.bounds, seconds=upload.seconds)


def _language(text: str | None) -> str | None:
    tag = (text or "").strip().lower().partition("-")[0]
    if tag and not (tag.isascii() and tag.isalpha() and len(tag) <= 3):
        raise errors.InvalidRequest(f"language must be a tag such as en or zh, not {tag[:20]!r}", param="language")
    return tag or None


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        raise errors.InvalidRequest("temperature must be a number", param="temperature") from None


def _headers(job: WaitingJob) -> dict[str, str]:
    return {"X-Job-Id": job.id, "X-Cache": job.cache_status, "Cache-Control": "no-store"}


async def _stream(job: WaitingJob) -> AsyncGenerator[bytes]:
    """OpenAI's events: `transcript.text.delta` for each part, `transcript.text.done` with all of it."""
    plan = transcription.plan_of(job)
    text = ""
    try:
        # A reader that goes away gives its place back.
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
