"""Transcription requests: what a client can ask of speech recognition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

from antiphon.domain import errors
from antiphon.domain.job import PRIORITIES, Kind, Priority
from antiphon.domain.request import check_choice, check_number, without_defaults

Format = Literal["json", "text", "srt", "vtt", "verbose_json"]
FORMATS: tuple[Format, ...] = ("json", "text", "srt", "vtt", "verbose_json")
Task = Literal["transcribe", "translate"]
MAX_PROMPT = 1000


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """A recording to be transcribed. Its samples are in `transcription.recordings`, under their digest."""

    type: ClassVar[Kind] = "transcription"
    #: SHA-256 of the samples, hexadecimal.
    audio: str
    #: Bounds of each unit in samples at 16 kHz: (first, one after the last).
    bounds: tuple[tuple[int, int], ...]
    #: Of the whole recording.
    seconds: float
    task: Task = "transcribe"
    model: str | None = None
    #: BCP-47 primary tag of the spoken language; None: the model detects it.
    language: str | None = None
    #: Text whose spelling and style the transcript should follow.
    prompt: str = ""
    temperature: float = 0.0
    format: Format = "json"
    #: Whether the transcript gives the time of each word.
    words: bool = False
    priority: Priority = "normal"
    #: Seconds since the epoch.
    deadline: float | None = None
    #: How often the client asked for another version of a unit, by its number as text.
    takes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("response_format", self.format, FORMATS)
        check_choice("priority", self.priority, PRIORITIES)
        check_number("temperature", self.temperature, 0.0, 1.0)
        if len(self.prompt) > MAX_PROMPT:
            raise errors.InvalidRequest(f"prompt must have at most {MAX_PROMPT} characters", param="prompt")

    def to_json(self) -> dict[str, Any]:
        return without_defaults(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(**{**data, "bounds": tuple((int(first), int(last)) for first, last in data["bounds"])})

    def brief(self) -> dict[str, str]:
        return {"task": self.task, "audio_seconds": f"{self.seconds:.1f}"}

    def with_another_take(self, index: int) -> Self:
        return replace(self, takes={**self.takes, str(index): self.takes.get(str(index), 0) + 1})
