"""Endpoints: each function builds one request of the HTTP API with the parser of its response. Does no I/O."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict
from urllib.parse import quote

from antiphon.client.retrying import Answer, Call
from antiphon.client.types import Audio, Job, Model, UploadedVoice, Voice, known
from antiphon.domain.job import Priority
from antiphon.domain.request import Format

SubtitleKind = Literal["srt", "vtt", "json"]

_WARNING = re.compile(r'^\d{3} \S+ "([^"]*)"')


class SpeechOptions(TypedDict, total=False):
    """How to speak a text. An omitted option has the model's default."""

    #: A voice of the model, an uploaded voice, an OpenAI name, or a mix such as `a(2)+b`.
    voice: str | None
    model: str | None
    #: Default: `wav`.
    format: Format
    #: 0.25 to 4.
    speed: float | None
    #: BCP-47; by default detected from the text.
    language: str | None
    #: A name, weights by name, or a list of eight weights.
    emotion: str | Mapping[str, float] | list[float] | None
    seed: int | None
    #: Hz.
    sample_rate: int | None
    priority: Priority | None
    #: How to speak, in natural language.
    instructions: str | None
    #: Requests with the same key are one piece of work on the server.
    idempotency_key: str | None


class JobOptions(SpeechOptions, total=False):
    """Additional options of a durable job."""

    #: A URL that receives a request when the job has ended, or `{"url": …, "secret": …}`.
    webhook: str | Mapping[str, str] | None
    #: Time by which the job should end: `06:00` or ISO 8601.
    deadline: str | None


def speak(text: str, options: SpeechOptions) -> Call[Audio]:
    return Call("POST", "/v1/audio/speech", audio, json=_body(text, options), headers=_key(options))


def submit(text: str, options: JobOptions, *, repeated: bool) -> Call[Job]:
    """`repeated`: whether the call may be retried; then it gets a random key unless the caller gives one."""
    headers = _key(options) or ({"Idempotency-Key": uuid.uuid4().hex} if repeated else {})
    return Call(
        "POST",
        "/v1/jobs",
        lambda answer: Job.of(_json(answer)),
        json=_body(text, options),
        headers=headers,
        queues=True,
    )


def job(id: str | Job) -> Call[Job]:
    return Call("GET", _job(id), lambda answer: Job.of(_json(answer)))


def jobs(status: str | None, limit: int, after: str | None) -> Call[list[Job]]:
    asked = {"status": status, "limit": limit, "after": after}
    params = {name: value for name, value in asked.items() if value is not None}
    return Call("GET", "/v1/jobs", lambda answer: [Job.of(each) for each in _json(answer)["data"]], params=params)


def result(id: str | Job) -> Call[Audio]:
    return Call("GET", f"{_job(id)}/result", lambda answer: audio(answer, job=_id(id)))


def cancel(id: str | Job) -> Call[Job]:
    return Call("DELETE", _job(id), lambda answer: Job.of(_json(answer)))


def retry(id: str | Job) -> Call[Job]:
    return Call("POST", f"{_job(id)}/retry", lambda answer: Job.of(_json(answer)))


def events_path(id: str | Job) -> str:
    return f"{_job(id)}/events"


def subtitles(id: str | Job, kind: SubtitleKind) -> Call[str]:
    return Call("GET", f"{_job(id)}/subtitles.{kind}", lambda answer: answer.body.decode())


def voices() -> Call[list[Voice]]:
    return Call("GET", "/v1/audio/voices", lambda answer: [known(Voice, each) for each in _json(answer)["voices"]])


def add_voice(
    name: str, recording: str | os.PathLike[str] | bytes, consent: str, ref_text: str | None
) -> Call[UploadedVoice]:
    file = ("recording", recording) if isinstance(recording, bytes) else _read(Path(recording))
    form = {"name": name, "consent": consent} | ({"ref_text": ref_text} if ref_text else {})
    return Call("POST", "/v1/audio/voices", _uploaded, files={"audio_sample": file}, form=form)


def remove_voice(name: str) -> Call[UploadedVoice]:
    return Call("DELETE", f"/v1/audio/voices/{quote(name, safe='')}", _uploaded)


def models() -> Call[list[Model]]:
    return Call("GET", "/v1/models", lambda answer: [known(Model, received) for received in _json(answer)["data"]])


def health() -> Call[dict[str, Any]]:
    return Call("GET", "/health", lambda answer: dict(_json(answer)))


# Responses


def audio(answer: Answer, job: str | None = None) -> Audio:
    said = answer.headers
    media_type = said.get("content-type", "").partition(";")[0]
    return Audio(answer.body, media_type, said.get("x-job-id") or job, said.get("x-cache"), warnings(said))


def warnings(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The texts of the server's `Warning` header, which it joins by semicolons."""
    found = _WARNING.search(headers.get("warning", ""))
    return tuple(found[1].split("; ")) if found else ()


def _uploaded(answer: Answer) -> UploadedVoice:
    return known(UploadedVoice, _json(answer)["voice"])


def _json(answer: Answer) -> Any:
    return json.loads(answer.body)


# Requests


def _body(text: str, options: Mapping[str, Any]) -> dict[str, Any]:
    unknown = options.keys() - JobOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"there is no option {', '.join(sorted(unknown))}")
    names = {"format": "response_format"}
    fields = {names.get(name, name): value for name, value in options.items() if name != "idempotency_key"}
    fields.setdefault("response_format", "wav")
    return {"input": text} | {name: value for name, value in fields.items() if value is not None}


def _key(options: SpeechOptions) -> dict[str, str]:
    key = options.get("idempotency_key")
    return {"Idempotency-Key": key} if key else {}


def _job(id: str | Job) -> str:
    return f"/v1/jobs/{quote(_id(id), safe='')}"


def _id(id: str | Job) -> str:
    return id.id if isinstance(id, Job) else id


def _read(path: Path) -> tuple[str, bytes]:
    return path.name, path.read_bytes()
