"""Jobs: durable work, its states, progress and result."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from antiphon.domain.errors import AntiphonError

Priority = Literal["vip", "normal", "bulk"]
PRIORITIES: tuple[Priority, ...] = ("vip", "normal", "bulk")


class State(enum.StrEnum):
    """The state of a job. The last three are final: a job never leaves them."""

    #: On disk, waiting for its first free slot. Ends by dispatch or a cancel.
    QUEUED = "queued"
    #: At least one unit was started or found in the cache. Ends by the last unit, a failure or a cancel; a drain or a
    #: rescue returns the job to queued.
    RUNNING = "running"
    #: The result is complete and stored.
    SUCCEEDED = "succeeded"
    #: A unit failed for good; `error` says why.
    FAILED = "failed"
    #: The owner or an operator cancelled it.
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in FINAL


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
#: Name of a kind of work, such as `speech`; `app.kinds` lists those that this server does.
Kind = str


@dataclass(frozen=True, slots=True)
class Units:
    """Progress of a job, counted in units."""

    total: int = 0
    done: int = 0
    #: Of the done units, those found in the cache.
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a job: its file or files, and what they contain."""

    #: Name of the file in the output directory; for images that of the first. Empty: no file.
    name: str
    media_type: str
    bytes: int
    #: Seconds of audio.
    duration: float
    #: SHA-256 of the file's bytes, hexadecimal.
    digest: str
    #: For speech, one entry per segment: {"text","start","end"}, in seconds of the audio, and "skipped" for what the
    #: model could not say; for images, one per file:
    #: {"name","digest","bytes","width","height","seed"}.
    segments: tuple[Mapping[str, Any], ...] = ()
    #: What the model could not do and left out, for the client.
    warnings: tuple[str, ...] = ()

    def digest_of(self, name: str) -> str | None:
        """The digest of one of its files; None if no file has that name."""
        if name == self.name:
            return self.digest
        return next((part["digest"] for part in self.segments if part.get("name") == name), None)

    def bytes_of(self, name: str) -> int:
        """The bytes of one of its files."""
        return next((part["bytes"] for part in self.segments if part.get("name") == name), self.bytes)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: code and message of the error."""

    code: str
    message: str

    @classmethod
    def of(cls, error: AntiphonError) -> Failure:
        """What clients are told about an error."""
        return cls(error.code, error.public)


@dataclass(frozen=True, slots=True)
class Orders:
    """What an operator set for an unfinished job; None: nothing. A restart changes none of it."""

    #: Since when the job is paused, in seconds since the epoch.
    paused_at: float | None = None
    #: Its rank in front of all other jobs, above 0; the greatest goes first.
    front: int | None = None
    #: Its class, in place of that of its request. Its deadline counts no more.
    priority: Priority | None = None


#: What most jobs have: nothing was set.
NO_ORDERS = Orders()


@dataclass(frozen=True, slots=True)
class Job:
    """One job in the store. Times are seconds since the epoch."""

    id: str
    type: Kind
    state: State
    #: Key id or client address: the owner may see the job, and its jobs form one flow of the queue.
    owner: str
    priority: Priority
    #: The validated request as JSON, from which the job is run.
    request: Mapping[str, Any]
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    units: Units = field(default_factory=Units)
    result: Result | None = None
    error: Failure | None = None
    #: Number of the present attempt; also the fence: the store refuses a result from another attempt.
    attempt: int = 0
    #: False: the caller waited for the answer, `request` is a summary, and the job cannot be run again.
    kept: bool = True
    orders: Orders = NO_ORDERS

    @property
    def progress(self) -> float:
        """The done part of the units, 0 to 1."""
        if self.state is State.SUCCEEDED:
            return 1.0
        return self.units.done / self.units.total if self.units.total else 0.0
