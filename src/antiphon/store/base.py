"""JobStore: the contract that every store of jobs keeps."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from antiphon.domain.api_key import Key
from antiphon.domain.event import Event
from antiphon.domain.job import Failure, Job, Orders, Result, State, Units
from antiphon.domain.voice import Reference
from antiphon.store.cluster import ClusterChannel

#: Seconds for which an idempotency key is remembered: the promised day, and another one in case the clock is set.
IDEMPOTENCY_SECONDS = 2 * 86400.0
#: Seconds by which an event may seem to be older than the ending that it announces.
ENDING_SLACK = 60.0


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's name for one request: sending the request twice makes one job."""

    owner: str
    key: str
    #: Digest of the request's body. The same key with another body is the client's mistake.
    body_digest: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """The address that receives a message at a job's end, and the tries so far."""

    #: The same for every try.
    id: str
    job: str
    url: str
    #: None: the server's own secret.
    secret: str | None = None
    tries: int = 0
    #: Seconds since the epoch; None before the first try.
    next_at: float | None = None


class JobStore(Protocol):
    """Durable jobs. A method that changes something returns when the change is durable, or raises.

    Cancelling the caller undoes nothing: the change happens or fails on its own. Every change can raise `StorageFull`
    (nothing changed; the store works again once there is space), `StoreAway` (no answer; whether anything changed is
    unknown) and `StoreError` (the store is broken or closed). With `owner=None` any job is found; with an owner, the
    jobs of other owners are not found.
    """

    #: The channel to the other servers that share the store; None if only this server uses it.
    cluster: ClusterChannel | None

    async def open(self) -> None:
        """Makes the store ready. Raises `SchemaTooNew` for data of a newer Antiphon and leaves it unchanged."""

    async def close(self) -> None:
        """Finishes the calls that were made before and closes the data. Later calls raise `StoreError`."""

    # Life of a job

    async def add(
        self, job: Job, *, idempotency: Idempotency | None = None, webhook: Webhook | None = None
    ) -> tuple[Job, bool]:
        """Stores a queued job together with its webhook; returns (job, True).

        For an idempotency key that came with this body before, it returns (the job of that time, False) and stores
        nothing. Raises `IdempotencyMismatch` for a key that came with another body, `Conflict` for an id in use.
        """

    async def find_idempotent(self, idempotency: Idempotency) -> Job | None:
        """The job that `add` would return for a known key; stores nothing. Raises `IdempotencyMismatch`."""

    async def record(self, job: Job) -> None:
        """Stores a job that is already final, such as a request whose caller waited. Raises `Conflict`."""

    async def start(self, id: str) -> int | None:
        """Moves a queued job to running and returns the fence of this run; None if the job was not queued.

        A fence identifies one run of a job. It grows with every start and never repeats, also where `Job.attempt`,
        the number that clients see, went back by a `release`.
        """

    async def progress(self, id: str, fence: int, units: Units) -> bool:
        """Stores how far a running job is. False, and no change, when the fence is not that of its run."""

    async def finish(
        self,
        id: str,
        fence: int,
        state: State,
        result: Result | None = None,
        error: Failure | None = None,
        units: Units | None = None,
    ) -> bool:
        """Moves a running job to a final state; `units=None` leaves its units as they are. False, and no change, when
        the fence is not that of its run."""

    async def release(self, id: str, fence: int, spend: bool) -> bool:
        """Moves a running job back to queued. False when the fence is not that of its run.

        With `spend=False` the attempt does not count (a drain). The fence is used up in any case: the run that holds
        it can no longer finish the job.
        """

    async def cancel(self, id: str, owner: str | None = None) -> tuple[Job, bool] | None:
        """Moves a queued or running job to cancelled. Returns the job as it is now; None if there is no such job.

        The second value says whether this server announces the end: this call ended the job, and the job belongs to
        no other server that shares the store (that server announces the end)."""

    async def retry(self, id: str, owner: str | None = None) -> Job:
        """Moves a failed or cancelled job back to queued. Raises `NotFound`, and `Conflict` in another state."""

    async def requeue_succeeded(self, id: str, request: Mapping[str, Any], owner: str | None = None) -> Job:
        """Moves a succeeded job back to queued with another request. Raises as `retry` does."""

    def rescue(self) -> AsyncIterator[Job]:
        """Moves every running job back to queued (its attempt stays spent), then yields all queued jobs.

        A server calls it once after `open`. Where servers share the store, a server calls it again when another one
        may be gone: it then yields the jobs of servers that are not alive, and leaves this server's own jobs alone.
        Jobs come in the order of their acceptance and are read in bounded batches, so that a long queue is never in
        memory as a whole. Jobs that are accepted after the call are not yielded.
        """

    async def unannounced_endings(self, since: float, before: float) -> builtins.list[Job]:
        """Jobs that ended between two times (seconds since the epoch) and have no event that announces the end,
        because the server was killed in between. Oldest first; jobs whose request was not kept are left out.

        A server calls it once at its start. Where servers share the store, a server calls it again when another one
        is gone: it then returns what that server left, whenever it ended, and no other server gets the same jobs.
        """

    # What an operator set

    async def set_orders(self, id: str, orders: Orders) -> bool:
        """Stores what an operator set for an unfinished job. False, and no change, for any other job. `retry` and
        `requeue_succeeded` end a pause and a place in front; the class stays."""

    async def pauses(self) -> dict[str, float]:
        """The clients whose work is paused, and since when (seconds since the epoch), the longest first. The client ''
        stands for everything."""

    async def pause(self, client: str, since: float) -> None:
        """Stores that the work of a client is paused. Who is paused already stays so since then."""

    async def unpause(self, client: str) -> None:
        """Ends what `pause` began."""

    # Questions

    async def get(self, id: str, owner: str | None = None) -> Job | None: ...

    async def list(
        self, owner: str | None = None, states: Sequence[State] | None = None, after: str | None = None, limit: int = 50
    ) -> builtins.list[Job]:
        """Newest first by id, as ids sort by time. `after`: the last id of the previous page, even if it is gone."""

    async def counts(self) -> dict[State, int]:
        """The number of jobs in each state; every state is a key."""

    # Events

    async def append_events(self, events: Sequence[Event]) -> None:
        """Stores events with new ids, all or none. Raises `Conflict` for an id in use."""

    async def events_after(
        self, id: int, job: str | None = None, owner: str | None = None, limit: int = 1000
    ) -> builtins.list[Event]:
        """At most `limit` events with a greater id, oldest first: of one job, or those that `owner` may see."""

    async def last_event_id(self) -> int:
        """The greatest id that was ever stored; 0 if there is none."""

    # Webhooks

    async def pending_webhooks(self) -> builtins.list[Webhook]:
        """Webhooks that are neither delivered nor given up, by id."""

    async def webhook_done(self, id: str) -> None:
        """Removes a webhook that was delivered or is given up."""

    async def webhook_failed(self, id: str, next_at: float, error: str) -> None:
        """Counts a failed try; the next one is due at `next_at` (seconds since the epoch)."""

    # Voices

    async def add_voice(self, reference: Reference) -> None:
        """Stores an uploaded voice. Raises `Conflict` if its owner has a voice of that name, or the id is in use."""

    async def voices(self, owner: str) -> builtins.list[Reference]:
        """The voices of one owner, oldest first."""

    async def voice(self, owner: str, id_or_name: str) -> Reference | None:
        """The owner's voice of that id, else of that name. The voices of other owners are not found."""

    async def remove_voice(self, owner: str, id_or_name: str) -> Reference | None:
        """Removes the voice that `voice` would find and returns it; None if there is none."""

    async def digest_used(self, digest: str) -> bool:
        """Whether a voice of any owner has the recording of that digest."""

    # API keys

    async def add_key(self, key: Key) -> None:
        """Raises `Conflict` while another key has the name."""

    async def keys(self) -> builtins.list[Key]:
        """All keys, revoked ones too, oldest first."""

    async def revoke_key(self, id_or_name: str, at: float) -> Key | None:
        """Makes a key invalid from now on; None if no valid key has that id or name."""

    async def add_usage(self, key: str, day: str, seconds: float) -> None:
        """Counts seconds of audio that a key received on a day (`YYYY-MM-DD`, UTC)."""

    async def usage(self, day: str) -> dict[str, float]:
        """Seconds of audio by key on a day."""

    # Retention

    async def prune(self, before: float) -> builtins.list[str]:
        """Removes final jobs that ended before a time (seconds since the epoch), and the events before it.

        The newest event stays, because new ids follow it. Idempotency keys go with their job and after
        `IDEMPOTENCY_SECONDS`. Returns the names of the result files, which no job refers to any more.
        """

    async def get_value(self, key: str) -> Any:
        """A small JSON document; None if there is none."""

    async def set_value(self, key: str, value: Any) -> None: ...

    async def set_default(self, key: str, value: Any) -> Any:
        """Stores a document unless one of that name exists; returns the document that is stored."""
