"""Durable work and its states."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Priority = Literal["vip", "normal", "bulk"]
PRIORITIES: tuple[Priority, ...] = ("vip", "normal", "bulk")


class State(enum.StrEnum):
    """Where a job is. The last three are final: nothing moves a job out of them."""

    #: On disk and waiting for its first free slot. Moved on by dispatch, or by a cancel.
    QUEUED = "queued"
    #: At least one unit was started or found in the cache. Moved on by its last unit, a failure or a cancel;
    #: a drain or a rescue moves it back to queued.
    RUNNING = "running"
    #: The result is complete and stored.
    SUCCEEDED = "succeeded"
    #: A unit failed for good; `error` says why.
    FAILED = "failed"
    #: Somebody asked for its end.
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in FINAL


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
#: A kind of work by name, such as `speech`; `app.kinds` lists those that this server does.
Kind = str


@dataclass(frozen=True, slots=True)
class Units:
    """Progress, counted in units."""

    total: int = 0
    done: int = 0
    #: Of those done, found in the cache.
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    #: Name of the file in the output directory; of several images the first one's.
    name: str
    media_type: str
    bytes: int
    #: Seconds of audio.
    duration: float
    #: SHA-256 of the file's bytes, hexadecimal.
    digest: str
    #: For speech, one entry per segment: {"text","start","end"} in characters of audio time (seconds); for images one
    #: per file: {"name","digest","bytes","width","height","seed"}.
    segments: tuple[Mapping[str, Any], ...] = ()

    def digest_of(self, name: str) -> str | None:
        """Of one of its files; None if none has that name."""
        if name == self.name:
            return self.digest
        return next((part["digest"] for part in self.segments if part.get("name") == name), None)

    def bytes_of(self, name: str) -> int:
        """The size of one of its files."""
        return next((part["bytes"] for part in self.segments if part.get("name") == name), self.bytes)


@dataclass(frozen=True, slots=True)
class Failure:
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """One durable piece of work, as the store keeps it. Times are seconds since the epoch."""

    id: str
    type: Kind
    state: State
    #: Key id or client address: who may see it, and the flow it is scheduled in.
    owner: str
    priority: Priority
    #: The validated request, JSON; what the job is run from after a restart.
    request: Mapping[str, Any]
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    units: Units = field(default_factory=Units)
    result: Result | None = None
    error: Failure | None = None
    #: How often it was started; also the fence: a finish with another number is refused.
    attempt: int = 0
    #: False: the caller waited for the answer, `request` is a summary, and the job cannot be run again.
    kept: bool = True

    @property
    def progress(self) -> float:
        if self.state is State.SUCCEEDED:
            return 1.0
        return self.units.done / self.units.total if self.units.total else 0.0
