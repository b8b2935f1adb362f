"""Retrying: decides when a request is sent, retried after a pause, or given up. Does no I/O.

The functions are generators: they yield `Call`s and `Pause`s, receive the outcome of each, and return the parsed
response. Both clients execute these steps, one blocking and one awaiting, so the retry logic exists once.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from antiphon.client import errors
from antiphon.client.types import Job

T = TypeVar("T")

#: Seconds before the first retry if the server names no time, and the longest pause; it doubles with each retry.
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 4.0
#: Seconds between two polls of a job: a quarter of its ETA within these bounds.
POLL_SOONEST, POLL_LATEST = 0.05, 1.0
#: Seconds for which `wait` and `events` tolerate an outage; a restart takes one or two.
LONGEST_OUTAGE = 30.0
#: Statuses of a server that has not started the work and may accept it later.
_REFUSED = (429, 503)
#: Codes of refusals that end when work that is in line is done.
IN_LINE = frozenset({"over_share", "queue_full"})
#: Seconds after which, and the part of the predicted time after which, the server is asked again whether a job fits:
#: other jobs may be cancelled, or end sooner.
ASK_AGAIN, ASK_PART = 30.0, 0.25

log = logging.getLogger("antiphon.client")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    #: Names in lower case.
    headers: Mapping[str, str]
    #: Empty for a successful streaming call.
    body: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """No response. `sent`: whether the request may have reached the server."""

    why: str
    sent: bool


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, with the parser of its response."""

    method: str
    path: str
    parse: Callable[[Answer], T]
    json: Mapping[str, Any] | None = None
    params: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Multipart files: field name to file name and bytes. `form` has the other fields.
    files: Mapping[str, tuple[str, bytes]] | None = None
    form: Mapping[str, str] | None = None
    #: Read timeout, seconds; None: the client's.
    timeout: float | None = None
    #: Whether it is a durable job, for which room in line is waited for.
    queues: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether the request is idempotent."""
        return self.method in ("GET", "DELETE") or "Idempotency-Key" in self.headers


Step = Call[Any] | Pause
Outcome = Answer | Lost | None
Steps = Generator[Step, Outcome, T]


@dataclass(frozen=True, slots=True)
class RoomWait:
    """A durable job waits at the client, because the server has no room for it in line yet."""

    #: Seconds after which it fits, by the server's prediction.
    seconds: float
    #: The server's message.
    reason: str
    #: The Idempotency-Key of the job, if it has one.
    key: str | None

    def __str__(self) -> str:
        return f"waiting for room in line, about {self.seconds:.0f} s: {self.reason}"


def tell(wait: RoomWait) -> None:
    """Logs a wait; without a logging configuration, Python prints it to standard error."""
    log.warning("%s", wait)


@dataclass(frozen=True, slots=True)
class Retries:
    """Retry policy: the number of retries, and the longest Retry-After that is waited for (seconds)."""

    times: int
    longest: float
    #: Seconds that a durable job waits for room in line, all together, and who is told of it.
    room: float = 0.0
    on_wait: Callable[[RoomWait], None] = tell

    def room_pause(self, call: Call[Any], outcome: Answer | Lost, waited: float) -> float | None:
        """Seconds until the server is asked again whether a durable job fits, after `waited` seconds of that; None: it
        was not refused for want of room, or there will be none in time."""
        if isinstance(outcome, Lost) or outcome.status not in _REFUSED or not (call.queues and self.times):
            return None
        refusal = errors.of(outcome.status, outcome.headers, outcome.body)
        after = refusal.retry_after
        if refusal.code not in IN_LINE or after is None or waited + after > self.room:
            return None
        self.on_wait(RoomWait(after, refusal.message, call.headers.get("Idempotency-Key")))
        return min(after, max(ASK_AGAIN, after * ASK_PART))

    def pause(self, call: Call[Any], outcome: Answer | Lost, attempt: int) -> float | None:
        """Seconds until the next try; None: give up. `attempt` counts from 0."""
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


#: No retries.
ONCE = Retries(0, 0.0)


def backoff(attempt: int) -> float:
    """Seconds before a retry: exponential, with jitter so that clients that failed together do not return together."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 10)) * random.uniform(0.5, 1.0)  # noqa: S311


def perform(call: Call[T], retries: Retries) -> Steps[T]:
    """Sends a call with retries. Raises `ApiError` and `Unreachable`."""
    attempt, waited = 0, 0.0
    while True:
        outcome = yield call
        assert outcome is not None, "a call is answered or lost"
        if isinstance(outcome, Answer) and outcome.status < 400:
            return call.parse(outcome)
        if (room := retries.room_pause(call, outcome, waited)) is not None:
            waited += room
            yield Pause(room)
            continue
        pause = retries.pause(call, outcome, attempt)
        if pause is None:
            if isinstance(outcome, Lost):
                raise errors.Unreachable(outcome.why)
            raise errors.of(outcome.status, outcome.headers, outcome.body)
        yield Pause(pause)
        attempt += 1


def wait(poll: Call[Job], timeout: float | None) -> Steps[Job]:
    """Polls a job until it ends, across restarts of the server. Raises `JobFailed`, `WaitTimeout`, `Unreachable`."""
    end = None if timeout is None else time.monotonic() + timeout
    outage = Outage()
    while True:
        outcome = yield poll
        assert outcome is not None, "a call is answered or lost"
        if isinstance(outcome, Lost) or outcome.status in _REFUSED:
            pause = outage.pause(outcome.why if isinstance(outcome, Lost) else "the server is not ready")
        elif outcome.status >= 400:
            raise errors.of(outcome.status, outcome.headers, outcome.body)
        else:
            outage.over()
            job = poll.parse(outcome)
            if job.ended:
                return succeeded(job)
            pause = min(POLL_LATEST, max(POLL_SOONEST, (job.eta or 0.0) / 4))
        if end is not None:
            left = end - time.monotonic()
            if left <= 0:
                raise errors.WaitTimeout(f"{poll.path} had not ended after {timeout} s; it goes on")
            pause = min(pause, left)
        yield Pause(pause)


def succeeded(job: Job) -> Job:
    """Returns a job that has a result. Raises `JobFailed` for any other."""
    if job.status != "succeeded":
        code, message = (job.error.code, job.error.message) if job.error else (str(job.status), f"it was {job.status}")
        raise errors.JobFailed(job.id, code, message)
    return job


class Outage:
    """Outage of a server: how long to pause, and when to give up."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._tries = 0

    def over(self) -> None:
        self._since, self._tries = None, 0

    def pause(self, why: str) -> float:
        """Seconds until the next try. Raises `Unreachable` after `LONGEST_OUTAGE` seconds without a response."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since > LONGEST_OUTAGE:
            raise errors.Unreachable(f"the server went away and did not come back within {LONGEST_OUTAGE:.0f} s: {why}")
        self._tries += 1
        return min(POLL_LATEST, backoff(self._tries - 1))
