"""Views: how a job looks to a client, in the same shape for an active job and a stored one."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from antiphon.domain.job import Failure, Job, Result
from antiphon.jobs.active import ActiveJob

#: What the last event of a job says.
ENDING = ("status", "progress", "units", "result", "error", "warnings")


def place(active: ActiveJob) -> tuple[int, float | None]:
    """Position (1: next; 0: running) and predicted seconds until the end; None while it is paused."""
    if active.ticket is None:
        return 0, 0.0
    position, eta = active.served.dispatcher.place(active.ticket)
    return 0 if active.started_at else position, round(eta, 3) if math.isfinite(eta) else None


def of_active(active: ActiveJob) -> dict[str, Any]:
    """An active job with its place in line."""
    position, eta = place(active)
    own = {"position": position, "eta": eta, "attempts": active.attempts, "warnings": list(active.warnings)}
    return _common(active) | own


def of_stored(job: Job) -> dict[str, Any]:
    outcome = {"result": job.result and of_result(job.result), "error": job.error and asdict(job.error)}
    ended = {"finished_at": job.finished_at, "attempts": job.attempt}
    return _common(job) | ended | outcome | {"warnings": list(job.result.warnings) if job.result else []}


def _common(job: ActiveJob | Job) -> dict[str, Any]:
    """All fields in their order, with the values that both kinds of job have."""
    return {
        "id": job.id, "object": "job", "type": job.type, "status": str(job.state),
        "created_at": job.created_at, "started_at": job.started_at, "finished_at": None,
        "progress": job.progress, "units": asdict(job.units), "position": None, "eta": None,
        "result": None, "error": None, "attempts": 0, "warnings": [],
    }  # fmt: skip


def of_result(result: Result) -> dict[str, Any]:
    images = result.segments if result.media_type.startswith("image/") else ()
    return {
        "path": f"/output/{result.name}" if result.name else None,
        "media_type": result.media_type,
        "bytes": result.bytes,
        "duration": round(result.duration, 3),
        "images": [
            {"path": f"/output/{file['name']}"} | {key: file[key] for key in ("bytes", "width", "height", "seed")}
            for file in images
        ],
    }


def of_ended(job: Job) -> dict[str, Any]:
    """What the last event of a job says, for a job that is not active here."""
    return {key: value for key, value in of_stored(job).items() if key in ENDING}


def of_ending(active: ActiveJob, result: Result | None, failure: Failure | None) -> dict[str, Any]:
    """What the last event of a job says besides its units."""
    return {
        "status": "succeeded" if result else "failed" if failure else "cancelled",
        "progress": 1.0 if result else active.progress,
        "result": result and of_result(result),
        "error": failure and asdict(failure),
        "warnings": list(active.warnings),
    }
