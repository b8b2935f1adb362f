"""Events: observed facts, named in the past tense, in the form that subscribers receive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from antiphon.domain.job import State

EventType = Literal[
    "job.queued", "job.started", "job.progress", "unit.done", "job.succeeded", "job.failed", "job.cancelled",
    "model.state", "gap",
]  # fmt: skip
#: The last event of a job by its final state.
FINAL_EVENT_OF: Mapping[State, EventType] = {
    State.SUCCEEDED: "job.succeeded",
    State.FAILED: "job.failed",
    State.CANCELLED: "job.cancelled",
}
#: The final state of a job by its last event.
FINAL_EVENTS: Mapping[str, State] = {event: state for state, event in FINAL_EVENT_OF.items()}


@dataclass(frozen=True, slots=True)
class Event:
    """One fact about a job or the server."""

    #: Increases with every event, also over restarts. A subscriber that received n resumes after n.
    id: int
    type: EventType
    #: Seconds since the epoch.
    at: float
    #: Id of the job that it is about; None for an event of the server.
    job: str | None = None
    #: The owner that may receive it; None: every client.
    owner: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
