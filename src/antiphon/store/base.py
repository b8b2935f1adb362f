"""What a job store is: the contract that every implementation keeps, and what may be asked of all of them."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from antiphon.domain.event import Event
from antiphon.domain.job import Failure, Job, Result, State, Units
from antiphon.domain.key import Key
from antiphon.domain.voice import Reference

#: Seconds for which an idempotency key is remembered: the day that is promised, and another in case somebody sets
#: the clock.
IDEMPOTENCY_SECONDS = 2 * 86400.0
#: Seconds by which an event may seem to be older than the end of which it tells.
ENDING_SLACK = 60.0
#: Servers that may share a store: the id of an event leaves this remainder for each of them its own.
SLOTS = 64


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's name for one request, so that sending it twice makes one job."""

    owner: str
    key: str
    #: Digest of the request's body; the same key with another body is a mistake of the client.
    body_digest: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """Whom to tell of a job's end, and how often that was tried."""

    #: The same for every try.
    id: str
    job: str
    url: str
    #: None: the server's own.
    secret: str | None = None
    tries: int = 0
    #: Seconds since the epoch; None before the first try.
    next_at: float | None = None


class ClusterChannel(Protocol):
    """What servers that share a store know of each other. Messages are JSON, small, and may be missed."""

    #: This server's name, the same over restarts, and its place among the living.
    server: str
    slot: int
    #: Seconds after which the work of a server that gives no sign is taken over.
    lease: float

    def listen(self, heard: Callable[[Mapping[str, Any]], None], missed: Callable[[], None]) -> None:
        """`heard` is called with every message of another server that is for all or for this one, `missed` when some
        may have been lost; neither may raise. A message names its sender, `from`, and the sender's `slot`."""
        ...

    async def listening(self) -> None:
        """Returns once messages are heard."""
        ...

    async def tell(self, message: Mapping[str, Any]) -> None:
        """To one server if `to` names it, else to all. Never raises for a store that is away."""
        ...

    async def between(self, slot: int, first: int, last: int) -> list[Event]:
        """Events that the server of a slot kept, by their ids, both included."""
        ...

    async def ours(self, ids: list[str]) -> set[str]:
        """Of unfinished jobs those that are still this server's work."""
        ...

    async def servers(self) -> list[tuple[str, int, float]]:
        """The living: name, slot, seconds that are left of the lease."""
        ...

    async def hit(self, name: str, per_minute: int) -> tuple[bool, int, float]:
        """Counts a request: whether it is within the rate, how many are left, seconds until the minute ends."""
        ...


class JobStore(Protocol):
    """Durable jobs. A method that changes something has made it durable when it returns, or has raised.

    A caller that is cancelled while it waits does not undo anything: the change happens or fails on its own.
    Every change can raise `StorageFull` (nothing was changed; the store works again once there is space), `StoreAway`
    (it does not answer; whether anything was changed is not known) and `StoreError` (the store is broken or closed).
    With `owner=None` the job is anybody's; with an owner, the jobs of others do not exist.
    """

    #: Of a store that several servers share; None if it is this server's alone.
    cluster: ClusterChannel | None

    async def open(self) -> None:
        """Makes ready; raises `SchemaTooNew` for data of a newer Antiphon, which is left as it is."""
        ...

    async def close(self) -> None:
        """Finishes what was asked before, and lets go of the data. Later calls raise `StoreError`."""
        ...

    # Life of a job

    async def add(
        self, job: Job, *, idempotency: Idempotency | None = None, webhook: Webhook | None = None
    ) -> tuple[Job, bool]:
        """Keeps a queued job, and its webhook with it: (job, True).

        For a key that is known with this body: (the job it made, False), and the webhook is not kept.

        Raises `IdempotencyMismatch` for a known key with another body, and `Conflict` if the id is taken.
        """
        ...

    async def find_idempotent(self, idempotency: Idempotency) -> Job | None:
        """What `add` would answer for a key that is known, without keeping anything. Raises `IdempotencyMismatch`."""
        ...

    async def record(self, job: Job) -> None:
        """Keeps a job that is already final, such as a request whose caller waited. Raises `Conflict`."""
        ...

    async def start(self, id: str) -> int | None:
        """Moves a queued job to running and returns the fence of this run; None if the job was not queued.

        The fence is what the other calls take as `attempt`. It grows with every start and never repeats, also
        where `Job.attempt`, the number that people see, went back by a `release`.
        """
        ...

    async def progress(self, id: str, attempt: int, units: Units) -> bool:
        """Says how far a running job is; False, and nothing kept, when the fence is not that of its run."""
        ...

    async def finish(
        self,
        id: str,
        attempt: int,
        state: State,
        result: Result | None = None,
        error: Failure | None = None,
        units: Units | None = None,
    ) -> bool:
        """Moves a running job to a final state; False, and nothing done, when the fence is not its run's.

        `units=None` leaves them as they are.
        """
        ...

    async def release(self, id: str, attempt: int, spend: bool) -> bool:
        """Moves a running job back to queued; False when the fence is not that of its run.

        With `spend=False` the attempt does not count (a drain). The fence is spent in any case: whoever still
        holds the old one can finish nothing.
        """
        ...

    async def cancel(self, id: str, owner: str | None = None) -> tuple[Job, bool] | None:
        """Moves a queued or running job to cancelled. The job as it then is; None if there is no such job.

        The second value says whether its end is this server's to tell: this call ended it, and no other server that
        shares the store answers for it (that one is told)."""
        ...

    async def retry(self, id: str, owner: str | None = None) -> Job:
        """Moves a failed or cancelled job back to queued. Raises `NotFound`; `Conflict` in another state."""
        ...

    async def requeue_succeeded(self, id: str, request: Mapping[str, Any], owner: str | None = None) -> Job:
        """Moves a succeeded job back to queued with another request. Raises `NotFound`; `Conflict` otherwise."""
        ...

    def rescue(self) -> AsyncIterator[Job]:
        """Moves every running job back to queued (its attempt stays spent), then yields all queued jobs.

        Asked once, after `open`; where servers share the store, again whenever one may be gone: then it brings what
        nobody living works on, and leaves our own alone. Jobs come in the order of their acceptance and in bounded
        batches, so that a long queue is never in memory as a whole; those accepted after the call are not among them.
        """
        ...

    async def unannounced_endings(self, since: float, before: float) -> builtins.list[Job]:
        """Jobs that ended between two times (seconds since the epoch), and of whose end no event tells: the server was
        killed between the two. Oldest first; requests that somebody waited for are not among them.

        Asked once, at the start; where servers share the store, again whenever one of them is gone: then it brings what
        that one left, whenever it ended, and no other server is given it.
        """
        ...

    # Questions

    async def get(self, id: str, owner: str | None = None) -> Job | None: ...

    async def list(
        self,
        owner: str | None = None,
        states: Sequence[State] | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> builtins.list[Job]:
        """Newest first, by id, as ids sort by time; `after`: the last id of the page before, gone or not."""
        ...

    async def counts(self) -> dict[State, int]:
        """How many jobs there are in each state; every state is a key."""
        ...

    # Events

    async def append_events(self, events: Sequence[Event]) -> None:
        """Keeps events whose ids are new, all or none. Raises `Conflict` for an id that is known."""
        ...

    async def events_after(
        self, id: int, job: str | None = None, owner: str | None = None, limit: int = 1000
    ) -> builtins.list[Event]:
        """At most `limit` events with a greater id, oldest first: of one job, or that `owner` may hear."""
        ...

    async def last_event_id(self) -> int:
        """The greatest id ever kept; 0 if there is none."""
        ...

    # Webhooks

    async def pending_webhooks(self) -> builtins.list[Webhook]:
        """Those that are neither delivered nor given up, in the order of their ids."""
        ...

    async def webhook_done(self, id: str) -> None:
        """Forgets a webhook that was delivered, or is given up."""
        ...

    async def webhook_failed(self, id: str, next_at: float, error: str) -> None:
        """One more try was in vain; the next is due at `next_at` (seconds since the epoch)."""
        ...

    # Voices

    async def add_voice(self, reference: Reference) -> None:
        """Keeps an uploaded voice. Raises `Conflict` if its owner has one of that name, or the id is taken."""
        ...

    async def voices(self, owner: str) -> builtins.list[Reference]:
        """One owner's, oldest first."""
        ...

    async def voice(self, owner: str, id_or_name: str) -> Reference | None:
        """The owner's voice of that id, else of that name; the voices of others do not exist."""
        ...

    async def remove_voice(self, owner: str, id_or_name: str) -> Reference | None:
        """Forgets a voice, found as `voice` finds it, and returns it; None if there is none."""
        ...

    async def digest_used(self, digest: str) -> bool:
        """Whether anybody's voice is the recording of that digest."""
        ...

    # API keys

    async def add_key(self, key: Key) -> None:
        """Raises `Conflict` while another key has the name."""
        ...

    async def keys(self) -> builtins.list[Key]:
        """All of them, those that were revoked too, oldest first."""
        ...

    async def revoke_key(self, id_or_name: str, at: float) -> Key | None:
        """From now on the key opens nothing; None if no living key has that id or name."""
        ...

    async def add_usage(self, key: str, day: str, seconds: float) -> None:
        """Counts audio that a key was given on a day (`YYYY-MM-DD`, UTC)."""
        ...

    async def usage(self, day: str) -> dict[str, float]:
        """Seconds of audio by key on a day."""
        ...

    # Retention

    async def prune(self, before: float) -> builtins.list[str]:
        """Removes final jobs that ended before a time (seconds since the epoch), and the events before it.

        The newest event stays: ids go on from it. Idempotency keys go with their job, and after
        `IDEMPOTENCY_SECONDS`. Returns the names of the removed jobs' result files, which are now nobody's.
        """
        ...

    async def get_value(self, key: str) -> Any:
        """A small JSON document, None if there is none."""
        ...

    async def set_value(self, key: str, value: Any) -> None: ...

    async def set_default(self, key: str, value: Any) -> Any:
        """Keeps a document unless there is one of that name already; what is kept."""
        ...


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
    """What `add` takes; the caller's mistake is a ValueError."""
    if job.state is not State.QUEUED:
        raise ValueError(f"a new job is queued, not {job.state}")
    if job.finished_at is not None or job.result is not None or job.error is not None:
        raise ValueError("a new job has no end yet")
    check_units(job.units)


def check_final(job: Job) -> None:
    """What `record` takes."""
    if job.finished_at is None:
        raise ValueError("a final job has finished_at")
    check_ending(job.state, job.result, job.error)
    check_units(job.units)


def check_ending(state: State, result: Result | None, error: Failure | None) -> None:
    """What `finish` takes: a result if it succeeded, an error if it failed, and neither for the other."""
    if not state.final:
        raise ValueError(f"a job cannot end as {state}")
    if (state is State.SUCCEEDED) != (result is not None) or (state is State.FAILED) != (error is not None):
        raise ValueError(f"a job that ends as {state} has result={result!r} and error={error!r}")
