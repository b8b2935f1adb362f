"""Transcription: a recording's pieces planned as units, and what was heard in them put together again."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from antiphon.audio import subtitles
from antiphon.auth import ApiKeys, lower
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.job import Result
from antiphon.domain.transcription import TranscriptionRequest
from antiphon.domain.unit import Recipe, Unit, UnitResult
from antiphon.jobs.run import JobRun
from antiphon.models.registry import ModelRegistry
from antiphon.models.served import ServedModel
from antiphon.sandbox import speech_audio
from antiphon.speech.render import put_file
from antiphon.text import transcript
from antiphon.transcription.recordings import RecordingStore

MEDIA_TYPES = {
    "json": "application/json",
    "verbose_json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip",
    "vtt": "text/vtt; charset=utf-8",
}
EXTENSIONS = {"json": ".json", "verbose_json": ".json", "text": ".txt", "srt": ".srt", "vtt": ".vtt"}


@dataclass(slots=True)
class TranscriptionPlan:
    request: TranscriptionRequest
    model: str
    revision: str
    warnings: tuple[str, ...] = ()
    keys: list[str] = field(init=False)

    def __post_init__(self) -> None:
        if not self.request.bounds:
            raise errors.InvalidRequest("There is nothing to be heard in the audio: it is silent", param="file")
        self.keys = [self._recipe(index).key() for index in range(len(self.request.bounds))]

    @property
    def source(self) -> str | None:
        return self.request.audio

    @property
    def nbytes(self) -> int:
        """Of what is kept of the request; the samples are on disk."""
        return 200 + 32 * len(self.keys)

    def _recipe(self, index: int) -> Recipe:
        request = self.request
        first, last = request.bounds[index]
        params: dict[str, Any] = {
            "audio": request.audio,
            "start": first,
            "end": last,
            "task": request.task,
            "language": request.language,
            "prompt": request.prompt,
            "temperature": request.temperature,
            "words": request.words,
        }
        if take := request.takes.get(str(index), 0):
            params["take"] = take
        return Recipe("transcription", self.model, self.revision, params)

    def unit(self, job: str, index: int) -> Unit:
        return Unit(job, index, self._recipe(index), self.length(index))

    def length(self, index: int) -> float:
        """Seconds of audio."""
        first, last = self.request.bounds[index]
        return (last - first) / speech_audio.RATE

    def audio_seconds(self, result: UnitResult) -> float | None:
        return None

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.request.format]


@dataclass(slots=True)
class TranscriptionPlanner:
    """The kind: which model hears, and the plan for it."""

    models: ModelRegistry
    uploads: RecordingStore
    keys: ApiKeys

    async def prepare(self, request: TranscriptionRequest, owner: str) -> tuple[ServedModel, TranscriptionPlan]:
        """Raises `UnknownModel`, `UnsupportedLanguage`, `ModelLoading`, `ModelUnavailable`, `NotFound` if the recording
        is gone."""
        granted = lower(request.priority, self.keys.ceiling(owner))
        if granted != request.priority:
            request = replace(request, priority=granted)
        served = self.models.choose_kind(request.model, "transcription", request.language)
        return served, await self.plan(request, served)

    async def plan(self, request: TranscriptionRequest, served: ServedModel) -> TranscriptionPlan:
        assert served.capabilities is not None
        await self.uploads.need(request.audio)
        return TranscriptionPlan(request, served.name, served.capabilities.revision)


async def heard(run: JobRun, plan: TranscriptionPlan) -> AsyncGenerator[dict[str, Any]]:
    """What was heard in each piece, in order, with times from the beginning of the whole. Raises what ended the run."""
    index = 0
    async for entry in run.entries():
        found = json.loads(entry.payload)
        yield transcript.shifted(found, plan.request.bounds[index][0] / speech_audio.RATE)
        index += 1


async def whole(run: JobRun, plan: TranscriptionPlan) -> dict[str, Any]:
    """All of it: task, language, duration, text, segments."""
    parts = [part async for part in heard(run, plan)]
    return transcript.joined(parts, plan.request.task, plan.request.seconds)


async def write(run: JobRun, plan: TranscriptionPlan, folder: Path, threads: Threads) -> Result:
    """As a file in the request's format; the segments go with it, for subtitles in any other."""
    told = await whole(run, plan)
    data = render(told, plan.request)
    name = f"transcript_{run.job}{EXTENSIONS[plan.request.format]}"
    digest = await threads.run(put_file, folder, name, data)
    return Result(name, plan.media_type, len(data), plan.request.seconds, digest, transcript.subtitles(told))


def render(told: Mapping[str, Any], request: TranscriptionRequest) -> bytes:
    """In the request's format."""
    match request.format:
        case "text":
            text = f"{told['text']}\n"
        case "srt":
            text = subtitles.srt(transcript.subtitles(told))
        case "vtt":
            text = subtitles.vtt(transcript.subtitles(told))
        case "verbose_json":
            text = transcript.to_verbose_json(told, words=request.words)
        case _:
            text = transcript.to_json(told)
    return text.encode()


def result_of(size: int, plan: TranscriptionPlan) -> Result:
    """Of a request that somebody waited for: no file."""
    return Result("", plan.media_type, size, plan.request.seconds, "", ())
