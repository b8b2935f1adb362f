"""Types: the values that the client returns. Durations are seconds; points in time are seconds since the epoch."""

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
    """Encoded audio, with the metadata of its response."""

    data: bytes
    media_type: str
    #: Id of the job that made it, for `Client.job`.
    job: str | None = None
    #: `hit`, `miss` or `partial`; None if the server reports none.
    cache: str | None = None
    #: Requested options that the model does not support.
    warnings: tuple[str, ...] = ()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the file and returns its path."""
        file = Path(path)
        file.write_bytes(self.data)
        return file


@dataclass(frozen=True, slots=True)
class JobResult:
    #: Path on the server; None after retention has removed the file.
    path: str | None
    media_type: str
    bytes: int
    #: Seconds of audio.
    duration: float


@dataclass(frozen=True, slots=True)
class Job:
    """A durable job in its state at the time of the request."""

    id: str
    type: str
    status: State
    created_at: float
    started_at: float | None
    finished_at: float | None
    #: 0 to 1.
    progress: float
    units: Units
    #: Position in the queue: 1 is next, 0 is running.
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
    def of(cls, received: Mapping[str, Any]) -> Job:
        result, error = received["result"], received["error"]
        parsed = {
            "status": State(received["status"]),
            "units": known(Units, received["units"]),
            "result": known(JobResult, result) if result else None,
            "error": known(Failure, error) if error else None,
        }
        return known(cls, {**received, **parsed})


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a job; `data` has the fields that depend on its type."""

    id: int
    type: str
    at: float
    job: str | None
    data: Mapping[str, Any]

    @property
    def last(self) -> bool:
        """Whether this event ends its job."""
        return self.type in FINAL_EVENTS

    @classmethod
    def of(cls, received: Mapping[str, Any]) -> Event:
        rest = {name: value for name, value in received.items() if name not in ("id", "type", "at", "job")}
        return cls(received["id"], received["type"], received["at"], received["job"], rest)


@dataclass(frozen=True, slots=True)
class Voice:
    #: Value of `voice` in a request.
    id: str
    name: str
    model: str
    #: BCP-47 tags; empty: any language.
    languages: tuple[str, ...]
    gender: str | None


@dataclass(frozen=True, slots=True)
class UploadedVoice:
    id: str
    name: str
    consent: str
    created_at: float
    #: Length of the recording without the silence at its ends, seconds.
    seconds: float


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    kind: str
    #: `ready`, `loading`, … as in docs/architecture.md.
    state: str
    languages: tuple[str, ...]
    emotions: tuple[str, ...]
    #: Number of voices.
    voices: int
    licence: str


def known(kind: type[T], received: Mapping[str, Any]) -> T:
    """A dataclass from JSON, with arrays as tuples. Ignores fields that a newer server adds."""
    names = (field.name for field in fields(kind))
    values = {name: received[name] for name in names if name in received}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
