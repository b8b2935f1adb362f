"""Rows: jobs, events and voices as the columns of a table, and back."""

from __future__ import annotations

from typing import Any

import msgspec

from antiphon.domain.event import Event
from antiphon.domain.job import Failure, Job, Result, State, Units
from antiphon.domain.voice import Reference

Row = tuple[Any, ...]

#: The columns that make a job and a voice, in the order of `to_job` and `to_reference`.
JOB = (
    "seq, id, type, state, owner, priority, attempt, created_at, started_at, finished_at,"
    " units_total, units_done, units_cached, kept, error, result, request"
)
VOICE = "id, owner, name, digest, seconds, bytes, consent, created_at, media_type, ref_text, description, languages"

_result = msgspec.json.Decoder(Result)
_failure = msgspec.json.Decoder(Failure)
_any = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def encode(value: Any) -> str:
    """Compact JSON. Raises `TypeError` or `ValueError` for a value that JSON cannot express."""
    return _encoder.encode(value).decode()


def decode(text: str) -> Any:
    return _any.decode(text)


def from_job(job: Job) -> Row:
    """The parameters of the statement `add`."""
    return (
        job.id,
        job.type,
        job.state.value,
        job.owner,
        job.priority,
        job.attempt,
        job.created_at,
        job.started_at,
        job.finished_at,
        job.units.total,
        job.units.done,
        job.units.cached,
        int(job.kept),
        job.error and encode(job.error),
        job.result and encode(job.result),
        encode(job.request),
    )


def to_job(row: Row) -> Job:
    """The job of the columns `JOB`; the first, `seq`, is no field of it."""
    _, id, type_, state, owner, priority, attempt, created, started, finished, total, done, cached = row[:13]
    kept, error, result, request = row[13:]
    return Job(
        id,
        type_,
        State(state),
        owner,
        priority,
        _any.decode(request),
        created,
        started,
        finished,
        Units(total, done, cached),
        result and _result.decode(result),
        error and _failure.decode(error),
        attempt,
        bool(kept),
    )


def to_event(row: Row) -> Event:
    id, type_, at, job, owner, data = row
    return Event(id, type_, at, job, owner, _any.decode(data))


def from_reference(reference: Reference) -> Row:
    """The parameters of the statement `add_voice`."""
    r = reference
    known = (r.id, r.owner, r.name, r.digest, r.seconds, r.bytes, r.consent, r.created_at, r.media_type)
    return (*known, r.ref_text, r.description, encode(r.languages))


def to_reference(row: Row) -> Reference:
    id, owner, name, digest, seconds, nbytes, consent, created, media_type, ref_text, description, languages = row
    known = tuple(_any.decode(languages))
    return Reference(
        id, owner, name, digest, seconds, nbytes, consent, created, media_type, ref_text, description, known
    )
