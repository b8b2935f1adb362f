"""Events: observed facts, in the past tense, as subscribers receive them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from antiphon.domain.job import State

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
#: The last event of a job, by the state in which the job ended.
FINAL_EVENT_OF: Mapping[State, EventType] = {
    State.SUCCEEDED: "job.succeeded",
    State.FAILED: "job.failed",
    State.CANCELLED: "job.cancelled",
}
#: The state in which a job ended, by its last event.
FINAL_EVENTS: Mapping[str, State] = {event: state for state, event in FINAL_EVENT_OF.items()}


@dataclass(frozen=True, slots=True)
class Event:
    #: Grows by at least one with every event, also over restarts. A subscriber that saw n asks for what follows n.
    id: int
    type: EventType
    #: Seconds since the epoch.
    at: float
    #: The job it is about; None for events of the whole server.
    job: str | None = None
    #: Who may receive it; None for everybody.
    owner: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
