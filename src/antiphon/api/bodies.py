"""Request bodies: the JSON of the routes that speak, and how it becomes a `SpeechRequest`.

The domain checks ranges; the fields repeat them only for the documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
)

from antiphon.api import vllm_omni
from antiphon.domain import client_values, errors
from antiphon.domain.request import FORMATS, MAX_TURNS, SpeechRequest, Turn, check_number, parse_emotion
from antiphon.text.emotion_words import emotion_weights


def _finite(value: int | float) -> int | float:
    """JSON has numbers of any length; every number of a body must fit into a float."""
    if not client_values.is_finite(value):
        raise ValueError(f"must be a number between {-client_values.MOST:g} and {client_values.MOST:g}")
    return value


Number = Annotated[StrictInt | StrictFloat, AfterValidator(_finite)]
#: Weights that are looked at: each wrong one gets an error of its own.
MAX_WEIGHTS = 64


def _few(value: object) -> object:
    if isinstance(value, list | dict) and len(value) > MAX_WEIGHTS:
        raise ValueError(f"there are at most {MAX_WEIGHTS} weights")
    return value


Weights = Annotated[list[Number], BeforeValidator(_few)]
Emotion = Annotated[StrictStr | dict[StrictStr, Number] | list[Number] | None, BeforeValidator(_few)]
PriorityName = Literal["vip", "normal", "bulk"]


class StrictBody(BaseModel):
    """A body of our own routes. Unknown fields are refused: a typing error must not change what is heard."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class LenientBody(BaseModel):
    """A body of another server's protocol. Unknown fields are ignored, as the original does."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class TtsBody(StrictBody):
    """`POST /tts`."""

    text: StrictStr = Field(description="1 to 500 characters after trimming.", examples=["Hello there!"])
    emotion: StrictStr = Field("neutral", description="One of happy, sad, angry, neutral.")
    voice: StrictStr | None = Field(None, description="A voice of the model; GET /v1/audio/voices lists them.")
    model: StrictStr | None = Field(None, description="A served model; without it the best that can speak now.")
    speed: Number = Field(1.0, description="0.25 to 4.")
    seed: StrictInt = Field(0, ge=0, description="The same seed gives the same audio where the model has chance in it.")
    priority: PriorityName = "normal"
    wait: StrictBool = Field(True, description="false: answer 202 at once and ask /status later.")


class VoiceId(LenientBody):
    id: StrictStr


class NormalizationOptions(LenientBody):
    """Kinds that are read as a person reads them, as Kokoro-FastAPI names them; false leaves a kind to the engine."""

    normalize: StrictBool | None = Field(None, description="All kinds but markup.")
    unit_normalization: StrictBool | None = Field(None, description="10 kg, 36 km/h, 20°C.")
    url_normalization: StrictBool | None = Field(None, description="Addresses of pages.")
    email_normalization: StrictBool | None = Field(None, description="Addresses of mail.")
    optional_pluralization_normalization: StrictBool | None = Field(None, description="(s) at the end of a word.")
    phone_normalization: StrictBool | None = Field(None, description="Telephone numbers.")
    replace_remaining_symbols: StrictBool | None = Field(None, description="Signs such as &, =, § and √.")

    def given(self) -> dict[str, bool]:
        return {name: value for name, value in self if value is not None}


class ReadingFields(BaseModel):
    """How a text is read, on every route that reads one."""

    reading: Literal["on", "off"] = Field(
        "on", description="off: markup, numbers and signs go to the model as they are written; see docs/text.md."
    )
    normalization_options: NormalizationOptions | None = Field(
        None, description="What is read as a person reads it, by kind; all of it without this."
    )

    def reading_fields(self) -> dict[str, Any]:
        """The fields of a `SpeechRequest` that they are."""
        options = self.normalization_options
        return {"reading": self.reading, "normalization_options": options.given() if options else {}}


class DeliveryFields(ReadingFields):
    """The voice and its manner, on every route that speaks."""

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
        """The fields of a `SpeechRequest` except the text, and warnings. Raises `InvalidRequest`.

        `extra`: vLLM-Omni's `extra_params`."""
        check_number("emotion_strength", self.emotion_strength, 0.0, 1.0)
        warnings: list[str] = []
        params = vllm_omni.read(extra or {})
        weights = parse_emotion(self.emotion if self.emotion is not None else params.emotion)
        if self.instructions and self.emotion is None and params.emotion is None:
            weights = emotion_weights(self.instructions)
            if not weights:
                warnings.append("no mood was found in instructions; they were not used")
        strength = self.emotion_strength * params.strength
        own = {"emotion_text": self.emotion_text, "emotion_ref": self.emotion_audio}
        options = params.options | {name: value for name, value in own.items() if value}
        return {
            "model": self.model,
            "voice": voice_name(self.ref_audio or self.voice),
            "language": self.language,
            "emotion": {k: w * strength for k, w in weights.items() if w * strength},
            "speed": float(self.speed),
            "seed": self.seed,
            "format": self.response_format,
            "sample_rate": self.sample_rate,
            "priority": self.priority,
            "options": options,
            "ssml": self.ssml,
            **self.reading_fields(),
        }, warnings


def voice_name(voice: str | VoiceId | None) -> str | None:
    """The voice as the service takes it. Raises `UnknownVoice` for a digest, which only the server itself may write."""
    name = voice.id if isinstance(voice, VoiceId) else voice
    if name is not None and name.startswith("ref:"):
        raise errors.UnknownVoice("Name an uploaded voice by its name or id", param="voice")
    return name


class SpeechBody(DeliveryFields, LenientBody):
    """`POST /v1/audio/speech`, OpenAI's and more."""

    input: StrictStr = Field(description="The text, up to 1,000,000 characters; see docs/text.md for pauses and SSML.")
    stream_format: Literal["audio", "sse"] = "audio"
    extra_params: dict[str, Any] | None = Field(None, description="vLLM-Omni's engine parameters.")

    def to_request(self) -> tuple[SpeechRequest, list[str]]:
        """The request, and warnings about fields that have no effect here. Raises `InvalidRequest`."""
        fields, warnings = self.delivery(self.extra_params)
        return SpeechRequest(text=self.input, **fields), warnings


class TurnBody(StrictBody):
    """What one speaker says."""

    text: StrictStr = Field(description="1 to 1,000,000 characters, all turns together.")
    voice: StrictStr | None = Field(None, description="Without it the dialogue's own.")
    speaker: StrictStr | None = Field(None, max_length=80, description="Name in the subtitles; without it the voice's.")
    emotion: Emotion = Field(None, description="As in the dialogue.")
    speed: Number = Field(1.0, description="0.25 to 4, on top of the dialogue's.")
    language: StrictStr | None = Field(None, max_length=20)

    def turn(self) -> Turn:
        emotion = None if self.emotion is None else parse_emotion(self.emotion)
        return Turn(self.text, voice_name(self.voice), self.speaker, emotion, float(self.speed), self.language)


def dialogue(turns: list[TurnBody], fields: dict[str, Any]) -> SpeechRequest:
    """A request for several speakers. Raises `InvalidRequest` that names the turn."""
    found: list[Turn] = []
    for number, turn in enumerate(turns):
        try:
            found.append(turn.turn())
        except errors.InvalidRequest as e:
            raise type(e)(e.message, param=f"turns.{number}.{e.param}") from e
    return SpeechRequest(text="\n".join(turn.text.strip() for turn in found), turns=tuple(found), **fields)


class DialogueBody(DeliveryFields, StrictBody):
    """`POST /v1/audio/dialogue`."""

    turns: list[TurnBody] = Field(min_length=1, max_length=MAX_TURNS, description="In the order in which they speak.")
    stream_format: Literal["audio", "sse"] = "audio"

    def to_request(self) -> tuple[SpeechRequest, list[str]]:
        fields, warnings = self.delivery()
        return dialogue(self.turns, fields), warnings
