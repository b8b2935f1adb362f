"""Speech requests: what a client asks for, checked, in one form for all HTTP interfaces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from antiphon.domain import client_values, errors
from antiphon.domain.job import PRIORITIES, Kind, Priority

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: A letter or a digit of any script.
_SAYABLE = re.compile(r"[^\W_]")

Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
FORMATS: tuple[Format, ...] = ("mp3", "opus", "aac", "flac", "wav", "pcm")

#: The eight emotions of IndexTTS2 in its order. `NEUTRAL` is none of them, asked for by name.
EMOTIONS: tuple[str, ...] = (
    "happy", "angry", "sad", "afraid", "disgusted", "melancholic", "surprised", "calm",
)  # fmt: skip
NEUTRAL = "neutral"
#: Whether numbers, signs, abbreviations and markup are read as a person reads them, or left to the engine.
Reading = Literal["on", "off"]
READINGS: tuple[Reading, ...] = ("on", "off")
#: The four of the article.
ARTICLE_EMOTIONS: tuple[str, ...] = ("happy", "sad", "angry", "neutral")

MAX_TEXT = 1_000_000
SPEED_MIN, SPEED_MAX = 0.25, 4.0
SAMPLE_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
MAX_SEED = 2**32 - 1
MAX_TURNS = 1000
#: Characters of the name of a voice, or of a mix of voices. A recording inside a request is a `data:` URL.
MAX_VOICE = 300


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says in a dialogue. A field that is None has the value of the request."""

    text: str
    voice: str | None = None
    #: Name in the subtitles; None: the name of the voice.
    speaker: str | None = None
    emotion: Mapping[str, float] | None = None
    speed: float = 1.0
    language: str | None = None

    def __post_init__(self) -> None:
        check_text(self.text, MAX_TEXT)
        check_number("speed", self.speed, SPEED_MIN, SPEED_MAX)
        check_names(self.voice, self.language)

    def to_json(self) -> dict[str, Any]:
        out = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in out.items() if name == "text" or value not in (None, 1.0)}


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """Text to be spoken. Values are in range; planning checks whether this server has the model and the voice."""

    type: ClassVar[Kind] = "speech"
    text: str
    #: None: the best usable model for the request.
    model: str | None = None
    #: None: the model's default for the language.
    voice: str | None = None
    language: str | None = None
    emotion: Mapping[str, float] = field(default_factory=dict)
    speed: float = 1.0
    seed: int = 0
    format: Format = "wav"
    #: Hz; None: the model's own, but 24000 for pcm, like OpenAI.
    sample_rate: int | None = None
    priority: Priority = "normal"
    #: Seconds since the epoch by which a job should be done; its priority is bulk until it must be raised.
    deadline: float | None = None
    #: Engine-specific extras.
    options: Mapping[str, Any] = field(default_factory=dict)
    #: Whether the text is SSML; None: if it is wrapped in `<speak>`.
    ssml: bool | None = None
    #: Off: markup, numbers and signs go to the engine as they are written.
    reading: Reading = "on"
    #: Kinds that are left to the engine (false), by the names of `reading.switches`.
    normalization_options: Mapping[str, bool] = field(default_factory=dict)
    #: The turns of a dialogue, whose texts are the lines of `text`. Empty: no dialogue.
    turns: tuple[Turn, ...] = ()
    #: How often the client asked for another version of a segment, by its number as text; each is computed again.
    takes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_text(self.text, MAX_TEXT)
        check_number("speed", self.speed, SPEED_MIN, SPEED_MAX)
        check_number("seed", self.seed, 0, MAX_SEED)
        check_choice("response_format", self.format, FORMATS)
        check_choice("priority", self.priority, PRIORITIES)
        check_choice("reading", self.reading, READINGS)
        check_names(self.voice, self.language)
        if len(self.turns) > MAX_TURNS:
            raise errors.InvalidRequest(f"A dialogue has at most {MAX_TURNS} turns", param="turns")
        if self.sample_rate is not None and self.sample_rate not in SAMPLE_RATES:
            rates = ", ".join(map(str, SAMPLE_RATES))
            raise errors.InvalidRequest(f"sample_rate must be one of {rates}", param="sample_rate")

    def to_json(self) -> dict[str, Any]:
        """Only what differs from the defaults, so that stored requests keep their meaning when a field is added."""
        out = without_defaults(self)
        return out | {"turns": [turn.to_json() for turn in self.turns]} if self.turns else out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        turns = tuple(Turn(**turn) for turn in data.get("turns", ()))
        return cls(**{**data, "turns": turns})

    def brief(self) -> dict[str, str]:
        return {"text": self.text, "emotion": ",".join(self.emotion) or "neutral"}

    def with_another_take(self, index: int) -> Self:
        return replace(self, takes={**self.takes, str(index): self.takes.get(str(index), 0) + 1})

    def with_text(self, text: str) -> SpeechRequest:
        """The same request with another text."""
        return replace(self, text=text)


def without_defaults(request: DataclassInstance) -> dict[str, Any]:
    """The fields of a request that differ from their defaults, as JSON values."""
    values = ((f.name, f.default, getattr(request, f.name)) for f in fields(request))
    return {
        name: dict(value) if isinstance(value, Mapping) else value
        for name, default, value in values
        if value not in (default, {}, None)
    }


def check_text(text: str, limit: int) -> None:
    """Raises `InvalidText` for a text without a letter or digit, or with more than `limit` characters."""
    if not len(text.strip()) >= 1 or len(text) > limit:
        raise errors.InvalidText(f"Text must be 1-{limit} characters", param="text")
    if not sayable(text):
        raise errors.InvalidText("Text has nothing to say: it holds no letter and no digit", param="text")


def sayable(text: str) -> bool:
    """Whether a text contains a letter or a digit."""
    return _SAYABLE.search(text) is not None


def check_number(name: str, value: float, low: float, high: float, *, param: str | None = None) -> None:
    """Raises `InvalidRequest` unless `value` is from `low` to `high`, which NaN is not."""
    if not low <= value <= high:
        raise errors.InvalidRequest(f"{name} must be between {low} and {high}", param=param or name)


def check_names(voice: str | None, language: str | None) -> None:
    """Raises `UnknownVoice` for what can be no name of a voice, `InvalidRequest` for what can be no language."""
    if voice is not None and len(voice) > MAX_VOICE and not voice.startswith("data:"):
        raise errors.UnknownVoice(f"The name of a voice has at most {MAX_VOICE} characters", param="voice")
    if language:
        client_values.language(language)


def check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raises `InvalidRequest` unless `value` is one of `allowed`."""
    if value not in allowed:
        raise errors.InvalidRequest(f"{name} must be one of {', '.join(allowed)}", param=name)


def parse_deadline(text: str, now: datetime) -> float:
    """Seconds since the epoch for `06:00` (the next such time in the server's time zone) or an ISO 8601 time.

    `now` is time-zone aware; a time without an offset is in its zone. Raises `InvalidRequest`, also for a past time.
    """
    wrong = errors.InvalidRequest("deadline must be like 06:00 or 2026-12-24T06:00:00+08:00", param="deadline")
    try:
        if len(text) <= len("06:00:00") and ":" in text:
            clock = time.fromisoformat(text)
            when = now.replace(hour=clock.hour, minute=clock.minute, second=clock.second, microsecond=0)
            return (when if when > now else when + timedelta(days=1)).timestamp()
        when = datetime.fromisoformat(text)
        at = (when if when.tzinfo else when.replace(tzinfo=now.tzinfo)).timestamp()
    except (ValueError, OverflowError):
        # A date within a day of the first or the last year may have no moment in the server's time zone.
        raise wrong from None
    if at <= now.timestamp():
        raise errors.InvalidRequest("deadline is over already", param="deadline")
    return at


def parse_emotion(value: object) -> dict[str, float]:
    """Weights by name (0 to 1.2) from a name, `{name: weight}`, or eight weights in the order of `EMOTIONS`.

    None and weights of zero give an empty mapping: nothing is asked. `neutral` beside others is left out. Raises
    `InvalidRequest`.
    """
    names = (*EMOTIONS, NEUTRAL)
    if value is None:
        return {}
    if isinstance(value, str):
        check_choice("emotion", value, names)
        return {value: 1.0}
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, list | tuple) and len(value) == len(EMOTIONS):
        pairs = list(zip(EMOTIONS, value, strict=True))
    else:
        raise errors.InvalidRequest(
            f"emotion must be a name, {{name: weight}}, or {len(EMOTIONS)} weights", param="emotion"
        )
    weights: dict[str, float] = {}
    for name, weight in pairs:
        check_choice("emotion", name, names)
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise errors.InvalidRequest("emotion weights must be numbers", param="emotion")
        check_number("emotion weights", weight, 0.0, 1.2, param="emotion")
        if weight:
            weights[str(name)] = float(weight)
    if len(weights) > 1:
        weights.pop(NEUTRAL, None)
    return weights
