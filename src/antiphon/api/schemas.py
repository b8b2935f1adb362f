"""The JSON that goes in and out. Ranges that the domain checks are named here again only for the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from antiphon.api import vllm_omni
from antiphon.domain import errors
from antiphon.domain.request import (
    FORMATS,
    MAX_TURNS,
    SpeechRequest,
    Turn,
    check_number,
    parse_deadline,
    parse_emotion,
)
from antiphon.text.mood import moods

Number = StrictInt | StrictFloat
Emotion = StrictStr | dict[StrictStr, Number] | list[Number] | None
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


class DeliveryFields(BaseModel):
    """How something is to be spoken, on every route that speaks."""

    model: StrictStr | None = Field(None, description="A served model, or tts-1, tts-1-hd, gpt-4o-mini-tts, auto.")
    voice: StrictStr | VoiceId | None = Field(
        None, description="A voice of the model, an uploaded one, one of OpenAI's names, or a mix such as a(2)+b."
    )
    instructions: StrictStr | None = Field(
        None, max_length=4096, description="How to speak; the mood it names becomes the emotion where the model can."
    )
    response_format: StrictStr = Field("mp3", description=f"One of {', '.join(FORMATS)}.")
    speed: Number = Field(1.0, description="0.25 to 4.")
    language: StrictStr | None = Field(None, max_length=20, description="BCP-47; without it the text decides.")
    emotion: Emotion = Field(
        None,
        description="A name, {name: weight}, or 8 weights: happy angry sad afraid disgusted melancholic surprised calm",
    )
    emotion_strength: Number = Field(1.0, description="0 to 1; scales the emotion.")
    emotion_text: StrictStr | None = Field(
        None, max_length=1000, description="A text whose mood is taken; where the model can."
    )
    emotion_audio: StrictStr | None = Field(
        None, description="A reference whose mood is taken, a data: URL or an uploaded voice; where the model can."
    )
    ref_audio: StrictStr | None = Field(None, description="A voice to clone: a data: URL or an uploaded voice.")
    seed: StrictInt = Field(0, description="0 to 4294967295.")
    sample_rate: StrictInt | None = Field(None, description="Hz of the answer; without it the model's own.")
    priority: PriorityName = "normal"
    ssml: StrictBool | None = Field(
        None, description="Whether the text is SSML; without it, it is when it is wrapped in <speak>."
    )

    def delivery(self, extra: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], list[str]]:
        """The fields of a `SpeechRequest` but for its text, and warnings. Raises `InvalidRequest`.

        `extra` are vLLM-Omni's `extra_params`."""
        check_number("emotion_strength", self.emotion_strength, 0.0, 1.0)
        warnings: list[str] = []
        taken = vllm_omni.read(extra or {})
        weights = parse_emotion(self.emotion if self.emotion is not None else taken.emotion)
        if self.instructions and self.emotion is None and taken.emotion is None:
            weights = moods(self.instructions)
            if not weights:
                warnings.append("no mood was found in instructions; they were not used")
        strength = self.emotion_strength * taken.strength
        options = dict(taken.options)
        if self.emotion_text:
            options["emotion_text"] = self.emotion_text
        if self.emotion_audio:
            options["emotion_ref"] = self.emotion_audio
        return {
            "model": self.model,
            "voice": asked_voice(self.ref_audio or self.voice),
            "language": self.language,
            "emotion": {k: w * strength for k, w in weights.items() if w * strength},
            "speed": float(self.speed),
            "seed": self.seed,
            "format": self.response_format,
            "sample_rate": self.sample_rate,
            "priority": self.priority,
            "options": options,
            "ssml": self.ssml,
        }, warnings


def asked_voice(voice: str | VoiceId | None) -> str | None:
    """The voice as the service takes it. Raises `UnknownVoice` for what only the server itself may write."""
    name = voice.id if isinstance(voice, VoiceId) else voice
    if name is not None and name.startswith("ref:"):
        raise errors.UnknownVoice("Name an uploaded voice by its name or id", param="voice")
    return name


class SpeechFields(DeliveryFields):
    """A text and how it is to be spoken."""

    input: StrictStr = Field(description="The text, up to 1,000,000 characters; see docs/text.md for pauses and SSML.")

    def request(self, extra: Mapping[str, Any] | None = None) -> tuple[SpeechRequest, list[str]]:
        """In our own words, and warnings for what nothing here can do. Raises `InvalidRequest`."""
        fields, warnings = self.delivery(extra)
        return SpeechRequest(text=self.input, **fields), warnings


class SpeechBody(SpeechFields, Foreign):
    """`POST /v1/audio/speech`, OpenAI's and more."""

    stream_format: Literal["audio", "sse"] = "audio"
    extra_params: dict[str, Any] | None = Field(None, description="vLLM-Omni's engine parameters.")

    def asked(self) -> tuple[SpeechRequest, list[str]]:
        return self.request(self.extra_params)


class TurnBody(Own):
    """What one speaker says."""

    text: StrictStr = Field(description="1 to 1,000,000 characters, all turns together.")
    voice: StrictStr | None = Field(None, description="Without it the dialogue's own.")
    speaker: StrictStr | None = Field(None, max_length=80, description="Name in the subtitles; without it the voice's.")
    emotion: Emotion = Field(None, description="As in the dialogue.")
    speed: Number = Field(1.0, description="0.25 to 4, on top of the dialogue's.")
    language: StrictStr | None = Field(None, max_length=20)

    def turn(self) -> Turn:
        emotion = None if self.emotion is None else parse_emotion(self.emotion)
        return Turn(self.text, asked_voice(self.voice), self.speaker, emotion, float(self.speed), self.language)


def dialogue(turns: list[TurnBody], fields: dict[str, Any]) -> SpeechRequest:
    """A request for several speakers. Raises `InvalidRequest` that names the turn."""
    made: list[Turn] = []
    for number, turn in enumerate(turns):
        try:
            made.append(turn.turn())
        except errors.InvalidRequest as e:
            raise type(e)(e.message, param=f"turns.{number}.{e.param}") from e
    return SpeechRequest(text="\n".join(turn.text.strip() for turn in made), turns=tuple(made), **fields)


class DialogueBody(DeliveryFields, Own):
    """`POST /v1/audio/dialogue`."""

    turns: list[TurnBody] = Field(min_length=1, max_length=MAX_TURNS, description="In the order in which they speak.")
    stream_format: Literal["audio", "sse"] = "audio"

    def asked(self) -> tuple[SpeechRequest, list[str]]:
        fields, warnings = self.delivery()
        return dialogue(self.turns, fields), warnings


class WebhookBody(Own):
    url: StrictStr = Field(description="Called once the job has ended, signed as Standard Webhooks says.")
    secret: StrictStr | None = Field(None, description="whsec_…; without it the server's own, GET /v1/webhooks/secret.")


class JobBody(DeliveryFields, Own):
    """`POST /v1/jobs`."""

    type: Literal["speech"] = "speech"
    input: StrictStr | None = Field(None, description="The text, up to 1,000,000 characters.")
    turns: list[TurnBody] | None = Field(
        None, min_length=1, max_length=MAX_TURNS, description="A dialogue, in place of input."
    )
    webhook: StrictStr | WebhookBody | None = Field(None, description="A URL that is told when the job has ended.")
    deadline: StrictStr | None = Field(
        None, description="06:00 or an ISO 8601 time: bulk work that is sped up only when it would be late."
    )
    response_format: StrictStr = Field("wav", description=f"One of {', '.join(FORMATS)}.")

    def request(self) -> tuple[SpeechRequest, list[str]]:
        if (self.input is None) == (self.turns is None):
            raise errors.InvalidRequest("Give either input, a text, or turns, a dialogue", param="input")
        fields, warnings = self.delivery()
        if self.deadline is not None:
            fields["deadline"] = parse_deadline(self.deadline, datetime.now().astimezone())
        if self.turns is not None:
            return dialogue(self.turns, fields), warnings
        assert self.input is not None
        return SpeechRequest(text=self.input, **fields), warnings


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
    storage: str | None = Field(description="With shared object storage: ok, or why its last answer was none.")


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


class ImageView(BaseModel):
    path: str = Field(examples=["/output/image_01k…_1.png"])
    bytes: int
    width: int
    height: int
    seed: int = Field(description="Asked for alone, it gives this image again.")


class ResultView(BaseModel):
    path: str | None = Field(description="null for a request that somebody waited for: its audio was the answer.")
    media_type: str
    bytes: int
    duration: float
    images: list[ImageView] = Field(description="Of a job of images each file; path is the first. Else empty.")


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
    cloning: bool = Field(description="Whether it imitates uploaded voices.")
    licence: str


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[ModelView]
