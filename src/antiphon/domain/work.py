"""What every kind of work has in common: speech, transcription, images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

from antiphon.domain.job import Kind, Priority
from antiphon.domain.unit import Unit, UnitResult


class Request(Protocol):
    """What somebody asked for, valid in itself; whether this machine can do it is asked later."""

    type: ClassVar[Kind]

    @property
    def model(self) -> str | None: ...
    @property
    def priority(self) -> Priority: ...
    @property
    def deadline(self) -> float | None:
        """Seconds since the epoch."""
        ...

    def to_json(self) -> dict[str, Any]:
        """What a durable job keeps; only what differs from the defaults."""
        ...

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self: ...

    def brief(self) -> dict[str, str]:
        """What the log may tell of it; `text` is cut there."""
        ...

    def with_another_take(self, index: int) -> Self:
        """The same, with one unit to be made anew instead of found."""
        ...


class Plan(Protocol):
    """A request planned for one model: units in order. The same request, model and revision give the same again."""

    @property
    def request(self) -> Request: ...
    @property
    def model(self) -> str: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def keys(self) -> list[str]:
        """Names of the units' recipes, in order."""
        ...

    @property
    def source(self) -> str | None:
        """Digest of the upload that it needs until its end."""
        ...

    @property
    def nbytes(self) -> int:
        """What admission counts it as."""
        ...

    def unit(self, job: str, index: int) -> Unit: ...
    def length(self, index: int) -> float:
        """What the cost model measures the unit's work by."""
        ...

    def audio_seconds(self, result: UnitResult) -> float | None:
        """Seconds of audio that were made; None for work that makes none."""
        ...
