"""The JSON that goes in and out. Ranges that the domain checks are named here again only for the documentation."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from antiphon.domain import errors
from antiphon.domain.request import FORMATS, SpeechRequest, check_number, parse_deadline, parse_emotion

Number = StrictInt | StrictFloat
PriorityName = Literal["vip", "normal", "bulk"]


class Own(BaseModel):
    """Our own routes refuse what they do not know: a typing error must not change what is heard."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Foreign(BaseModel):
    """Routes of other protocols ignore what they do not know, as the originals do."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class TtsBody(Own):
    """`POST /tts`."""

    text: StrictStr = Field(description="1 to 500 characters after trimming.", examples=["Hello there!"])
    emotion: StrictStr = Field("neutral", description="One of happy, sad, angry, neutral.")
    voice: StrictStr | None = Field(None, description="A voice of the model; GET /v1/audio/voices lists them.")
    model: StrictStr | None = Field(None, description="A served model; without it the best that can speak now.")
    speed: Number = Field(1.0, description="0.25 to 4.")
    seed: StrictInt = Field(0, ge=0, description="The same seed gives the same audio where the model has chance in it.")
    priority: PriorityName = "normal"
    wait: StrictBool = Field(True, description="false: answer 202 at once and ask /status later.")


class VoiceId(Foreign):
    id: StrictStr


class SpeechFields(BaseModel):
    """What can be said about speech, on every route that speaks."""

    model: StrictStr | None = Field(None, description="A served model, or tts-1, tts-1-hd, gpt-4o-mini-tts, auto.")
    input: StrictStr = Field(description="The text, up to 1,000,000 characters.")
    voice: StrictStr | VoiceId | None = Field(None, description="A voice of the model, or one of OpenAI's names.")
    instructions: StrictStr | None = Field(None, description="How to speak; used where the model can.")
    response_format: StrictStr = Field("mp3", description=f"One of {', '.join(FORMATS)}.")
    speed: Number = Field(1.0, description="0.25 to 4.")
    language: StrictStr | None = Field(None, max_length=20, description="BCP-47; without it the text decides.")
    emotion: StrictStr | dict[StrictStr, Number] | list[Number] | None = Field(
        None,
        description="A name, {name: weight}, or 8 weights: happy angry sad afraid disgusted melancholic surprised calm",
    )
    emotion_strength: Number = Field(1.0, description="0 to 1; scales the emotion.")
    emotion_text: StrictStr | None = Field(None, description="A text whose mood is taken; where the model can.")
    emotion_audio: StrictStr | None = Field(None, description="A reference whose mood is taken; where the model can.")
    ref_audio: StrictStr | None = Field(None, description="A reference to clone: data: URL or voice id.")
    seed: StrictInt = Field(0, description="0 to 4294967295.")
    sample_rate: StrictInt | None = Field(None, description="Hz of the answer; without it the model's own.")
    priority: PriorityName = "normal"

    def request(self) -> tuple[SpeechRequest, list[str]]:
        """In our own words, and warnings for what nothing here can do. Raises `InvalidRequest`."""
        check_number("emotion_strength", self.emotion_strength, 0.0, 1.0)
        if self.ref_audio is not None:
            raise errors.InvalidRequest("No model served here can clone a voice from ref_audio", param="ref_audio")
        warnings = [
            f"{name} was not used: no model served here can"
            for name in ("instructions", "emotion_text", "emotion_audio")
            if getattr(self, name) is not None
        ]
        weights = {k: w * self.emotion_strength for k, w in parse_emotion(self.emotion).items()}
        request = SpeechRequest(
            text=self.input,
            model=self.model,
            voice=self.voice.id if isinstance(self.voice, VoiceId) else self.voice,
            language=self.language,
            emotion={k: w for k, w in weights.items() if w},
            speed=float(self.speed),
            seed=self.seed,
            format=self.response_format,  # type: ignore[arg-type]  # checked by SpeechRequest
            sample_rate=self.sample_rate,
            priority=self.priority,
        )
        return request, warnings


class SpeechBody(SpeechFields, Foreign):
    """`POST /v1/audio/speech`, OpenAI's and more."""

    stream_format: Literal["audio", "sse"] = "audio"
    extra_params: dict[str, Any] | None = Field(None, description="vLLM-Omni's engine parameters.")


class WebhookBody(Own):
    url: StrictStr = Field(description="Called once the job has ended, signed as Standard Webhooks says.")
    secret: StrictStr | None = Field(None, description="whsec_…; without it the server's own, GET /v1/webhooks/secret.")


class JobBody(SpeechFields, Own):
    """`POST /v1/jobs`."""

    type: Literal["speech"] = "speech"
    webhook: StrictStr | WebhookBody | None = Field(None, description="A URL that is told when the job has ended.")
    deadline: StrictStr | None = Field(
        None, description="06:00 or an ISO 8601 time: bulk work that is sped up only when it would be late."
    )
    response_format: StrictStr = Field("wav", description=f"One of {', '.join(FORMATS)}.")

    def request(self) -> tuple[SpeechRequest, list[str]]:
        request, warnings = super().request()
        if self.deadline is None:
            return request, warnings
        return replace(request, deadline=parse_deadline(self.deadline, datetime.now().astimezone())), warnings


# Answers


class TtsAnswer(BaseModel):
    id: str
    status: Literal["succeeded"]
    audio_path: str = Field(examples=["/output/speech_01k….wav"])
    duration: float = Field(description="Seconds of audio.")
    cached: bool = Field(description="Whether all of it was made before.")
    warnings: list[str] | None = Field(None, description="What the model could not do of what was asked.")


class Accepted(BaseModel):
    id: str
    status: Literal["queued", "running", "succeeded"]
    position: int | None = Field(description="Place in line; 1 is next, 0 is running.")
    eta: float | None = Field(description="Predicted seconds until the end.")
    status_path: str


class Status(BaseModel):
    id: str
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    progress: float = Field(ge=0, le=1)
    position: int | None
    eta: float | None
    audio_path: str | None
    error: str | None


class ModelHealth(BaseModel):
    name: str
    state: str = Field(description="missing, downloading, starting, loading, warming, ready, degraded or unavailable.")
    phase: str | None
    bytes_done: int | None
    bytes_total: int | None
    eta: float | None
    error: str | None
    hint: str | None = Field(description="The exact command that would help.")


class Health(BaseModel):
    status: Literal["ok", "degraded", "starting", "draining"]
    concurrent: int = Field(description="Units that run now.")
    queued: int = Field(description="Jobs that wait.")
    model_loaded: bool = Field(description="Whether some model can speak.")
    model: str | None
    models: list[ModelHealth]
    network: Literal["online", "offline", "unknown"]
    version: str


class ErrorText(BaseModel):
    error: str


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str


class ErrorObject(BaseModel):
    error: ErrorDetail


class UnitsView(BaseModel):
    total: int
    done: int
    cached: int


class ResultView(BaseModel):
    path: str
    media_type: str
    bytes: int
    duration: float


class FailureView(BaseModel):
    code: str
    message: str


class JobView(BaseModel):
    id: str
    object: Literal["job"]
    type: Literal["speech", "transcription", "image"]
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    created_at: float
    started_at: float | None
    finished_at: float | None
    progress: float
    units: UnitsView
    position: int | None
    eta: float | None
    result: ResultView | None
    error: FailureView | None
    attempts: int
    warnings: list[str]


class QueueRow(BaseModel):
    id: str
    owner: str
    model: str
    priority: PriorityName
    status: Literal["queued", "running"]
    paused: bool
    durable: bool
    created_at: float
    eta: float | None = Field(description="Predicted seconds until the end; null while it is paused.")
    units: UnitsView


class QueueView(BaseModel):
    object: Literal["queue"]
    paused: bool = Field(description="Whether everything is paused.")
    data: list[QueueRow]


class JobList(BaseModel):
    object: Literal["list"]
    data: list[JobView]
    next: str | None = Field(description="Pass as `after` for the next page.")


class ModelView(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    kind: str
    state: str
    languages: list[str]
    emotions: list[str]
    voices: int
    licence: str


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[ModelView]


class VoiceView(BaseModel):
    id: str
    name: str
    model: str
    languages: list[str]
    gender: str | None


class VoiceList(BaseModel):
    voices: list[VoiceView]
