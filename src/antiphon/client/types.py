"""What the server answers, as values. Times are seconds, points in time seconds since the epoch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from antiphon.domain.event import FINAL_EVENTS
from antiphon.domain.job import Failure, State, Units

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True, slots=True)
class Audio:
    """Encoded audio and what the server said of it."""

    data: bytes
    media_type: str
    #: Id of the job that made it; `Client.job` knows more.
    job: str | None = None
    #: `hit`, `miss` or `partial`; None where the server does not say.
    cache: str | None = None
    #: What the model could not do of what was asked.
    warnings: tuple[str, ...] = ()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the file and returns its path."""
        file = Path(path)
        file.write_bytes(self.data)
        return file


@dataclass(frozen=True, slots=True)
class JobResult:
    #: Path on the server, None once the file was removed because it was old.
    path: str | None
    media_type: str
    bytes: int
    #: Seconds of audio.
    duration: float


@dataclass(frozen=True, slots=True)
class Job:
    """A durable job as it was when the server was asked."""

    id: str
    type: str
    status: State
    created_at: float
    started_at: float | None
    finished_at: float | None
    #: 0 to 1.
    progress: float
    units: Units
    #: Place in line; 1 is next, 0 is running.
    position: int | None
    #: Predicted seconds until the end.
    eta: float | None
    result: JobResult | None
    error: Failure | None
    attempts: int
    warnings: tuple[str, ...]

    @property
    def ended(self) -> bool:
        return self.status.final

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Job:
        result, error = told["result"], told["error"]
        return cls(
            id=told["id"],
            type=told["type"],
            status=State(told["status"]),
            created_at=told["created_at"],
            started_at=told["started_at"],
            finished_at=told["finished_at"],
            progress=told["progress"],
            units=known(Units, told["units"]),
            position=told["position"],
            eta=told["eta"],
            result=known(JobResult, result) if result else None,
            error=known(Failure, error) if error else None,
            attempts=told["attempts"],
            warnings=tuple(told["warnings"]),
        )


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a job; `data` has what its type tells beyond this."""

    id: int
    type: str
    at: float
    job: str | None
    data: Mapping[str, Any]

    @property
    def last(self) -> bool:
        """Whether it ends its job."""
        return self.type in FINAL_EVENTS

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Event:
        rest = {name: value for name, value in told.items() if name not in ("id", "type", "at", "job")}
        return cls(told["id"], told["type"], told["at"], told["job"], rest)


@dataclass(frozen=True, slots=True)
class Voice:
    #: What a request names.
    id: str
    name: str
    model: str
    #: BCP-47; empty: any.
    languages: tuple[str, ...]
    gender: str | None


@dataclass(frozen=True, slots=True)
class UploadedVoice:
    id: str
    name: str
    consent: str
    created_at: float
    #: Length of the recording without the silence at its ends.
    seconds: float


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    kind: str
    #: `ready`, `loading`, … as in docs/architecture.md.
    state: str
    languages: tuple[str, ...]
    emotions: tuple[str, ...]
    #: How many it has.
    voices: int
    licence: str


def known(kind: type[T], told: Mapping[str, Any]) -> T:
    """A dataclass from JSON, arrays as tuples. Fields that a newer server adds are ignored."""
    names = (field.name for field in fields(kind))
    values = {name: told[name] for name in names if name in told}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
