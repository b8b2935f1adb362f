"""How a request is carried out, without carrying it out: when it is sent, repeated after a pause, or given up.

A flow is a generator that yields `Call`s and `Pause`s, is sent what came of them, and returns the parsed answer. The
clients only do what it says, one by blocking and one by awaiting, so that there is no logic to keep alike in the two.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from antiphon.client import errors
from antiphon.client.types import Job

T = TypeVar("T")

#: Seconds before the first repetition where the server says nothing; doubled each time up to the second.
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 4.0
#: Seconds between two looks at a job: a quarter of its ETA within these bounds.
LOOK_SOON, LOOK_LATE = 0.05, 1.0
#: Seconds for which `wait` and `events` look for a server that went away; restarting takes it one or two.
AWAY = 30.0
#: Statuses that say: nothing was begun, come again.
_REFUSED = (429, 503)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    #: Names in lower case.
    headers: Mapping[str, str]
    #: Empty if the call asked for a stream and was granted it.
    body: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer. `sent`: whether the request may have reached the server."""

    why: str
    sent: bool


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and how its answer is read."""

    method: str
    path: str
    parse: Callable[[Answer], T]
    json: Mapping[str, Any] | None = None
    params: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Multipart: field name to file name and bytes; its other fields are `form`.
    files: Mapping[str, tuple[str, bytes]] | None = None
    form: Mapping[str, str] | None = None
    #: Seconds for the answer to go on in; None: the client's.
    timeout: float | None = None

    @property
    def repeatable(self) -> bool:
        """Whether doing it twice is doing it once."""
        return self.method in ("GET", "DELETE") or "Idempotency-Key" in self.headers


Step = Call[Any] | Pause
Outcome = Answer | Lost | None
Flow = Generator[Step, Outcome, T]


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is repeated, and how long the client lets a server's Retry-After hold it up (seconds)."""

    times: int
    longest: float

    def pause(self, call: Call[Any], outcome: Answer | Lost, attempt: int) -> float | None:
        """Seconds until the next try; None: there is none. `attempt` counts from 0."""
        if attempt >= self.times:
            return None
        if isinstance(outcome, Lost):
            return backoff(attempt) if call.repeatable or not outcome.sent else None
        if outcome.status not in _REFUSED:
            return None
        after = errors.of(outcome.status, outcome.headers, b"").retry_after
        if after is None:
            return backoff(attempt)
        return after if after <= self.longest else None


#: No repetition.
ONCE = Retries(0, 0.0)


def backoff(attempt: int) -> float:
    """Doubled each time, and never the same for two clients that failed together."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 10)) * random.uniform(0.5, 1.0)  # noqa: S311


def perform(call: Call[T], retries: Retries) -> Flow[T]:
    """Raises `ApiError` for what the server refuses, and `Unreachable`."""
    attempt = 0
    while True:
        outcome = yield call
        assert outcome is not None, "a call is answered or lost"
        if isinstance(outcome, Answer) and outcome.status < 400:
            return call.parse(outcome)
        pause = retries.pause(call, outcome, attempt)
        if pause is None:
            if isinstance(outcome, Lost):
                raise errors.Unreachable(outcome.why)
            raise errors.of(outcome.status, outcome.headers, outcome.body)
        yield Pause(pause)
        attempt += 1


def wait(look: Call[Job], timeout: float | None) -> Flow[Job]:
    """Looks at a job until it has ended, also across a restart of the server. Raises `JobFailed`, `WaitTimeout`."""
    end = None if timeout is None else time.monotonic() + timeout
    absence = Absence()
    while True:
        outcome = yield look
        assert outcome is not None, "a call is answered or lost"
        if isinstance(outcome, Lost) or outcome.status in _REFUSED:
            pause = absence.pause(outcome.why if isinstance(outcome, Lost) else "the server is not ready")
        elif outcome.status >= 400:
            raise errors.of(outcome.status, outcome.headers, outcome.body)
        else:
            absence.over()
            job = look.parse(outcome)
            if job.ended:
                return succeeded(job)
            pause = min(LOOK_LATE, max(LOOK_SOON, (job.eta or 0.0) / 4))
        if end is not None:
            left = end - time.monotonic()
            if left <= 0:
                raise errors.WaitTimeout(f"{look.path} had not ended after {timeout} s; it goes on")
            pause = min(pause, left)
        yield Pause(pause)


def succeeded(job: Job) -> Job:
    """The job, if it has a result. Raises `JobFailed`."""
    if job.status != "succeeded":
        code, message = (job.error.code, job.error.message) if job.error else (str(job.status), f"it was {job.status}")
        raise errors.JobFailed(job.id, code, message)
    return job


class Absence:
    """A server that went away in the middle: how long to go on looking for it."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._tries = 0

    def over(self) -> None:
        self._since, self._tries = None, 0

    def pause(self, why: str) -> float:
        """Seconds until the next try. Raises `Unreachable` after `AWAY` seconds without an answer."""
        now = time.monotonic()
        self._since = self._since if self._since is not None else now
        if now - self._since > AWAY:
            raise errors.Unreachable(f"the server went away and did not come back within {AWAY:.0f} s: {why}")
        self._tries += 1
        return min(LOOK_LATE, backoff(self._tries - 1))
