"""Observed facts, in the past tense, as subscribers hear them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

EventType = Literal[
    "job.queued",
    "job.started",
    "job.progress",
    "unit.done",
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "model.state",
    "gap",
]
FINAL_EVENTS: frozenset[str] = frozenset({"job.succeeded", "job.failed", "job.cancelled"})


@dataclass(frozen=True, slots=True)
class Event:
    #: Grows by at least one with every event, also over restarts. A subscriber that saw n asks for what follows n.
    id: int
    type: EventType
    #: Seconds since the epoch.
    at: float
    #: The job it is about; None for events of the whole server.
    job: str | None = None
    #: Who may hear it; None for everybody.
    owner: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
