"""Checks: what a store refuses before it asks its database, and how it says so."""

from __future__ import annotations

from antiphon.domain.job import Failure, Job, Result, State, Units


def no_job(id: str) -> str:
    return f"There is no job {id[:40]!r}"


def not_succeeded(job: Job) -> str:
    return f"The job is {job.state}; only what succeeded can be made anew in part"


def no_retry(job: Job) -> str:
    return f"Only a failed or cancelled job can be tried again; this one is {job.state}"


def check_units(units: Units) -> None:
    if not 0 <= units.cached <= units.done <= units.total:
        raise ValueError(f"units must be 0 <= cached <= done <= total, not {units}")


def check_new(job: Job) -> None:
    """Raises `ValueError` for a job that `add` does not take: it is queued and has no end."""
    if job.state is not State.QUEUED:
        raise ValueError(f"a new job is queued, not {job.state}")
    if job.finished_at is not None or job.result is not None or job.error is not None:
        raise ValueError("a new job has no end yet")
    check_units(job.units)


def check_final(job: Job) -> None:
    """Raises `ValueError` for a job that `record` does not take: it is final."""
    if job.finished_at is None:
        raise ValueError("a final job has finished_at")
    check_ending(job.state, job.result, job.error)
    check_units(job.units)


def check_ending(state: State, result: Result | None, error: Failure | None) -> None:
    """Raises `ValueError` for an ending that `finish` does not take: a success has a result, a failure an error."""
    if not state.final:
        raise ValueError(f"a job cannot end as {state}")
    if (state is State.SUCCEEDED) != (result is not None) or (state is State.FAILED) != (error is not None):
        raise ValueError(f"a job that ends as {state} has result={result!r} and error={error!r}")
