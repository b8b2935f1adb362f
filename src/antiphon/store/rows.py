"""Rows: jobs, events and voices as the columns of a table, and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import msgspec

from antiphon.domain import errors
from antiphon.domain.event import Event
from antiphon.domain.job import Failure, Job, Orders, Result, State, Units
from antiphon.domain.voice import Reference

Row = tuple[Any, ...]

#: The columns that make a job and a voice, in the order of `to_job` and `to_reference`.
JOB = (
    "seq, id, type, state, owner, priority, attempt, created_at, started_at, finished_at,"
    " units_total, units_done, units_cached, kept, paused_at, front, ordered_priority, error, result,"
    " request"
)
VOICE = "id, owner, name, digest, seconds, bytes, consent, created_at, media_type, ref_text, description, languages"

_result = msgspec.json.Decoder(Result)
_failure = msgspec.json.Decoder(Failure)
_any = msgspec.json.Decoder()
Value = TypeVar("Value")
_encoder = msgspec.json.Encoder()


def _checked(convert: Callable[[Row], Value]) -> Callable[[Row], Value]:
    """A row that does not mean anything was damaged where it is stored: what is written is checked before."""

    @wraps(convert)
    def checked(row: Row) -> Value:
        try:
            return convert(row)
        except (msgspec.MsgspecError, ValueError, TypeError) as e:
            raise errors.DatabaseDamaged(f"a row of the database cannot be read ({e}); the server stops") from e

    return checked


@_checked
def to_value(row: Row) -> Any:
    """The value of a JSON document."""
    return _any.decode(row[0])


def encode(value: Any) -> str:
    """Compact JSON. Raises `TypeError` or `ValueError` for a value that JSON cannot express."""
    return _encoder.encode(value).decode()


def decode(text: str) -> Any:
    return _any.decode(text)


def from_job(job: Job) -> Row:
    """The values of the columns `JOB`, but for `seq`, which the database numbers."""
    j, units = job, job.units
    head = (j.id, j.type, j.state.value, j.owner, j.priority, j.attempt, j.created_at, j.started_at, j.finished_at)
    orders = (j.orders.paused_at, j.orders.front, j.orders.priority)
    ending = (j.error and encode(j.error), j.result and encode(j.result))
    return (*head, units.total, units.done, units.cached, j.kept, *orders, *ending, encode(j.request))


@_checked
def to_job(row: Row) -> Job:
    """The job of the columns `JOB`; the first, `seq`, is no field of it."""
    _, id, type_, state, owner, priority, attempt, created, started, finished, total, done, cached = row[:13]
    kept, paused_at, front, ordered, error, result, request = row[13:]
    head = (id, type_, State(state), owner, priority, _any.decode(request), created, started, finished)
    ending = (result and _result.decode(result), error and _failure.decode(error))
    return Job(*head, Units(total, done, cached), *ending, attempt, bool(kept), Orders(paused_at, front, ordered))


@_checked
def to_event(row: Row) -> Event:
    id, type_, at, job, owner, data = row
    return Event(id, type_, at, job, owner, _any.decode(data))


def from_reference(r: Reference) -> Row:
    """The values of the columns `VOICE`."""
    known = (r.id, r.owner, r.name, r.digest, r.seconds, r.bytes, r.consent, r.created_at, r.media_type)
    return (*known, r.ref_text, r.description, encode(r.languages))


@_checked
def to_reference(row: Row) -> Reference:
    values = (*row[:-1], tuple(_any.decode(row[-1])))
    return Reference(*values)
