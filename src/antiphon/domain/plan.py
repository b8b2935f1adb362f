"""Plan: the protocols of requests and plans, which every kind of work implements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

from antiphon.domain.job import Kind, Priority
from antiphon.domain.unit import Unit, UnitResult


class Request(Protocol):
    """What a client asks for, with valid values; planning checks whether this server can do it."""

    type: ClassVar[Kind]

    @property
    def model(self) -> str | None: ...
    @property
    def priority(self) -> Priority: ...
    @property
    def deadline(self) -> float | None:
        """Seconds since the epoch."""

    def to_json(self) -> dict[str, Any]:
        """The request as a job stores it: only what differs from the defaults."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self: ...

    def brief(self) -> dict[str, str]:
        """Fields for the request log, which shortens `text`."""

    def with_another_take(self, index: int) -> Self:
        """The request with another version of one unit, which is computed instead of read from the cache."""


class Plan(Protocol):
    """A request as units in order, for one model. The same request, model and revision give the same plan again."""

    @property
    def request(self) -> Request: ...
    @property
    def model(self) -> str: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def keys(self) -> list[str]:
        """Cache keys of the units' recipes, in order."""

    @property
    def source(self) -> str | None:
        """Digest of the recording that the job needs until its end; None if it needs none."""

    @property
    def nbytes(self) -> int:
        """Bytes that admission counts for the job."""

    def unit(self, job: str, index: int) -> Unit: ...

    def length(self, index: int) -> float:
        """Length of a unit, by which the cost model predicts its seconds."""

    def expected_audio(self, per_length: float | None) -> float:
        """Seconds of audio that the result will have, about. `per_length`: those of a length of one, as learned of the
        model; None: nothing is learned yet."""

    def audio_seconds(self, result: UnitResult) -> float | None:
        """Seconds of audio in a result; None for work that gives no audio."""
