"""Transcription kind: plans the pieces of a recording as units, and joins their transcripts."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from antiphon.audio import subtitles
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.engine import Capabilities
from antiphon.domain.job import Result
from antiphon.domain.kind import KindTraits
from antiphon.domain.transcription import TranscriptionRequest
from antiphon.domain.unit import Recipe, Unit, UnitResult
from antiphon.files import atomic
from antiphon.jobs.kind import JobKind
from antiphon.jobs.run import JobRun
from antiphon.jobs.waiting import WaitingJob
from antiphon.models.selection import ModelSelector
from antiphon.models.served import ServedModel
from antiphon.sandbox import speech_audio
from antiphon.text import transcript
from antiphon.transcription.recordings import RecordingStore

MEDIA_TYPES = {
    "json": "application/json", "verbose_json": "application/json", "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip", "vtt": "text/vtt; charset=utf-8",
}  # fmt: skip
EXTENSIONS = {"json": ".json", "verbose_json": ".json", "text": ".txt", "srt": ".srt", "vtt": ".vtt"}


def check_result(capabilities: Capabilities, result: UnitResult) -> str | None:
    try:
        found = json.loads(result.payload)
    except ValueError:
        return "it is not JSON"
    if not (isinstance(found, dict) and all(isinstance(found.get(name), str) for name in ("text", "language"))):
        return "it must be an object with `text` and `language`"
    segments = found.get("segments", [])
    if not isinstance(segments, list) or not all(map(_is_segment, segments)):
        return "`segments` must be a list of objects with `start`, `end` and `text`"
    return None


def _is_segment(found: object) -> bool:
    return (
        isinstance(found, dict)
        and isinstance(found.get("text"), str)
        and isinstance(found.get("start"), int | float)
        and isinstance(found.get("end"), int | float)
        and 0 <= found["start"] <= found["end"]
    )


TRAITS = KindTraits(TranscriptionRequest.type, "seconds", reference_length=30.0, check_result=check_result)


@dataclass(slots=True)
class TranscriptionPlan:
    """The units of a request for one model; implements `domain.plan.Plan`."""

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
        """Bytes that the request takes in memory; the samples are on disk."""
        return 200 + 32 * len(self.keys)

    def _recipe(self, index: int) -> Recipe:
        request = self.request
        first, last = request.bounds[index]
        params: dict[str, Any] = {
            "audio": request.audio, "start": first, "end": last, "task": request.task, "language": request.language,
            "prompt": request.prompt, "temperature": request.temperature, "words": request.words,
        }  # fmt: skip
        if take := request.takes.get(str(index), 0):
            params["take"] = take
        return Recipe("transcription", self.model, self.revision, params)

    def unit(self, job: str, index: int) -> Unit:
        return Unit(job, index, self._recipe(index), self.length(index))

    def length(self, index: int) -> float:
        """Seconds of audio."""
        first, last = self.request.bounds[index]
        return (last - first) / speech_audio.RATE

    def expected_audio(self, per_length: float | None) -> float:
        return self.request.seconds

    def audio_seconds(self, result: UnitResult) -> float | None:
        return None

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.request.format]


def kind(selector: ModelSelector, recordings: RecordingStore) -> JobKind:
    """The functions with which jobs of this kind are planned and written. They raise `NotFound` if the recording no
    longer exists."""

    async def prepare(request: TranscriptionRequest, owner: str) -> tuple[ServedModel, TranscriptionPlan]:
        served = selector.choose_kind(request.model, request.type, request.language)
        return served, await plan(request, served)

    async def plan(request: TranscriptionRequest, served: ServedModel) -> TranscriptionPlan:
        assert served.capabilities is not None
        await recordings.ensure_local(request.audio)
        return TranscriptionPlan(request, served.name, served.capabilities.revision)

    return JobKind(TRAITS, TranscriptionRequest.from_json, prepare, plan, write, file_prefix="transcript")


async def pieces(run: JobRun, plan: TranscriptionPlan) -> AsyncGenerator[dict[str, Any]]:
    """The transcript of each piece, in order, with times from the start of the recording. Raises what ended the run."""
    index = 0
    async for entry in run.entries():
        piece = json.loads(entry.payload)
        yield transcript.shifted(piece, plan.request.bounds[index][0] / speech_audio.RATE)
        index += 1


async def transcript_of(run: JobRun, plan: TranscriptionPlan) -> dict[str, Any]:
    """The transcript of the whole recording: task, language, duration, text, segments."""
    parts = [part async for part in pieces(run, plan)]
    return transcript.joined(parts, plan.request.task, plan.request.seconds)


async def write(run: JobRun, plan: TranscriptionPlan, folder: Path, threads: Threads) -> Result:
    """Writes the transcript to a file in the request's format. The result holds the segments, for subtitles in other
    formats."""
    found = await transcript_of(run, plan)
    data = encode(found, plan.request)
    name = f"transcript_{run.job}{EXTENSIONS[plan.request.format]}"
    digest = await threads.run(atomic.write, folder, name, data)
    return Result(name, plan.media_type, len(data), plan.request.seconds, digest, transcript.subtitles(found))


def encode(found: Mapping[str, Any], request: TranscriptionRequest) -> bytes:
    """A transcript in the request's format, UTF-8."""
    match request.format:
        case "text":
            text = f"{found['text']}\n"
        case "srt":
            text = subtitles.srt(transcript.subtitles(found))
        case "vtt":
            text = subtitles.vtt(transcript.subtitles(found))
        case "verbose_json":
            text = transcript.to_verbose_json(found, words=request.words)
        case _:
            text = transcript.to_json(found)
    return text.encode()


async def whole(job: WaitingJob) -> bytes:
    """The answer to a waiting request, in its format; ends the job. Raises what ended the run."""
    plan = plan_of(job)
    data = encode(await transcript_of(job.run, plan), plan.request)
    job.succeed(result_of(len(data), plan))
    return data


def plan_of(job: WaitingJob) -> TranscriptionPlan:
    assert isinstance(job.run.plan, TranscriptionPlan)
    return job.run.plan


def result_of(size: int, plan: TranscriptionPlan) -> Result:
    """The result of a waiting request, which has no file."""
    return Result("", plan.media_type, size, plan.request.seconds, "", ())
