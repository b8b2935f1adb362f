"""MemoryStore: a `JobStore` in dicts. It shows that the contract is not SQLite's, and makes unit tests quick."""

from __future__ import annotations

import builtins
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from antiphon.domain import errors
from antiphon.domain.api_key import Key
from antiphon.domain.event import FINAL_EVENTS, Event
from antiphon.domain.job import Failure, Job, Orders, Result, State, Units
from antiphon.domain.voice import Reference
from antiphon.store import base, checks, keys, rows, voices
from antiphon.store.base import Idempotency, Webhook
from antiphon.store.cluster import ClusterChannel


@dataclass(slots=True)
class _Kept:
    job: Job
    #: How often the job was ever started; only grows.
    fence: int


class MemoryStore:
    """A `JobStore` in dicts, which keep the order of acceptance. A change is one step of the event loop."""

    cluster: ClusterChannel | None = None

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._open = False
        self._jobs: dict[str, _Kept] = {}
        #: (owner, key) → (digest of the body, job, when).
        self._keys: dict[tuple[str, str], tuple[str, str, float]] = {}
        self._values: dict[str, str] = {}
        self._events: dict[int, Event] = {}
        self._webhooks: dict[str, Webhook] = {}
        self._references: dict[str, Reference] = {}
        self._api_keys: dict[str, Key] = {}
        self._usage: dict[tuple[str, str], float] = {}
        self._pauses: dict[str, float] = {}

    async def open(self) -> None:
        self._open = True

    async def close(self) -> None:
        self._open = False

    def _check(self) -> None:
        if not self._open:
            raise errors.StoreError("the job store is closed")

    # Life of a job

    async def add(
        self, job: Job, *, idempotency: Idempotency | None = None, webhook: Webhook | None = None
    ) -> tuple[Job, bool]:
        checks.check_new(job)
        self._check()
        if idempotency is not None:
            known = self._known(idempotency)
            if known is not None:
                return known, False
        self._insert(job)
        if idempotency is not None:
            made = (idempotency.body_digest, job.id, self._clock())
            self._keys[idempotency.owner, idempotency.key] = made
        if webhook is not None:
            self._webhooks[webhook.id] = replace(webhook, job=job.id)
        return job, True

    async def find_idempotent(self, idempotency: Idempotency) -> Job | None:
        self._check()
        return self._known(idempotency)

    def _known(self, idempotency: Idempotency) -> Job | None:
        found = self._keys.get((idempotency.owner, idempotency.key))
        if found is None or found[2] <= self._clock() - base.IDEMPOTENCY_SECONDS:
            return None
        if found[0] != idempotency.body_digest:
            raise errors.IdempotencyMismatch(param="Idempotency-Key")
        return self._jobs[found[1]].job

    async def record(self, job: Job) -> None:
        checks.check_final(job)
        self._check()
        self._insert(job)

    async def start(self, id: str) -> int | None:
        self._check()
        kept = self._jobs.get(id)
        if kept is None or kept.job.state is not State.QUEUED:
            return None
        job = kept.job
        began = self._clock() if job.started_at is None else job.started_at
        kept.job = replace(job, state=State.RUNNING, attempt=job.attempt + 1, started_at=began)
        kept.fence += 1
        return kept.fence

    async def progress(self, id: str, fence: int, units: Units) -> bool:
        checks.check_units(units)
        return self._change(id, fence, lambda job: replace(job, units=units))

    async def finish(
        self,
        id: str,
        fence: int,
        state: State,
        result: Result | None = None,
        error: Failure | None = None,
        units: Units | None = None,
    ) -> bool:
        checks.check_ending(state, result, error)
        if units is not None:
            checks.check_units(units)

        def end(job: Job) -> Job:
            now = self._clock()
            counted = job.units if units is None else units
            return replace(job, state=state, finished_at=now, result=result, error=error, units=counted)

        return self._change(id, fence, end)

    async def release(self, id: str, fence: int, spend: bool) -> bool:
        back = 0 if spend else 1
        return self._change(id, fence, lambda job: replace(job, state=State.QUEUED, attempt=job.attempt - back))

    async def cancel(self, id: str, owner: str | None = None) -> tuple[Job, bool] | None:
        self._check()
        kept = self._find(id, owner)
        if kept is None:
            return None
        ends = not kept.job.state.final
        if ends:
            kept.job = replace(kept.job, state=State.CANCELLED, finished_at=self._clock())
        return kept.job, ends

    async def retry(self, id: str, owner: str | None = None) -> Job:
        self._check()
        kept = self._find(id, owner)
        if kept is None:
            raise errors.NotFound(checks.no_job(id))
        if kept.job.state not in (State.FAILED, State.CANCELLED):
            raise errors.Conflict(checks.no_retry(kept.job))
        orders = Orders(priority=kept.job.orders.priority)
        kept.job = replace(kept.job, state=State.QUEUED, finished_at=None, error=None, orders=orders)
        return kept.job

    async def requeue_succeeded(self, id: str, request: Mapping[str, Any], owner: str | None = None) -> Job:
        self._check()
        kept = self._find(id, owner)
        if kept is None:
            raise errors.NotFound(checks.no_job(id))
        if kept.job.state is not State.SUCCEEDED:
            raise errors.Conflict(checks.not_succeeded(kept.job))
        changed = rows.decode(rows.encode(request))
        orders = Orders(priority=kept.job.orders.priority)
        kept.job = replace(kept.job, state=State.QUEUED, finished_at=None, result=None, request=changed, orders=orders)
        return kept.job

    async def rescue(self) -> AsyncIterator[Job]:
        self._check()
        for kept in self._jobs.values():
            if kept.job.state is State.RUNNING:
                kept.job = replace(kept.job, state=State.QUEUED)
        for kept in [kept for kept in self._jobs.values() if kept.job.state is State.QUEUED]:
            if kept.job.state is State.QUEUED:
                yield kept.job

    async def unannounced_endings(self, since: float, before: float) -> builtins.list[Job]:
        self._check()
        ended = [kept.job for kept in self._jobs.values() if since <= (kept.job.finished_at or 0.0) < before]
        announced = [(event.job, event.at) for event in self._events.values() if event.type in FINAL_EVENTS]
        found = [
            job
            for job in ended
            if job.kept
            and not any(id == job.id and at >= (job.finished_at or 0.0) - base.ENDING_SLACK for id, at in announced)
        ]
        return sorted(found, key=lambda job: job.finished_at or 0.0)

    # What an operator set

    async def set_orders(self, id: str, orders: Orders) -> bool:
        self._check()
        kept = self._find(id, None)
        if kept is None or kept.job.state.final:
            return False
        kept.job = replace(kept.job, orders=orders)
        return True

    async def pauses(self) -> dict[str, float]:
        self._check()
        return dict(sorted(self._pauses.items(), key=lambda pause: (pause[1], pause[0])))

    async def pause(self, client: str, since: float) -> None:
        self._check()
        self._pauses.setdefault(client, since)

    async def unpause(self, client: str) -> None:
        self._check()
        self._pauses.pop(client, None)

    # Questions

    async def get(self, id: str, owner: str | None = None) -> Job | None:
        self._check()
        kept = self._find(id, owner)
        return kept.job if kept else None

    async def list(
        self, owner: str | None = None, states: Sequence[State] | None = None, after: str | None = None, limit: int = 50
    ) -> builtins.list[Job]:
        self._check()
        found = [
            kept.job
            for kept in self._jobs.values()
            if (owner is None or kept.job.owner == owner)
            and (states is None or kept.job.state in states)
            and (after is None or kept.job.id < after)
        ]
        return sorted(found, key=lambda job: job.id, reverse=True)[:limit]

    async def counts(self) -> dict[State, int]:
        self._check()
        counts = dict.fromkeys(State, 0)
        for kept in self._jobs.values():
            counts[kept.job.state] += 1
        return counts

    # Events

    async def append_events(self, events: Sequence[Event]) -> None:
        self._check()
        ids = [event.id for event in events]
        if len(set(ids)) != len(ids) or not self._events.keys().isdisjoint(ids):
            raise errors.Conflict("there is an event with that id already")
        self._events.update((event.id, _copy_event(event)) for event in events)

    async def events_after(
        self, id: int, job: str | None = None, owner: str | None = None, limit: int = 1000
    ) -> builtins.list[Event]:
        self._check()
        found = [
            event
            for event in sorted(self._events.values(), key=lambda event: event.id)
            if event.id > id
            and (job is None or event.job == job)
            and (owner is None or event.owner is None or event.owner == owner)
        ]
        return found[:limit]

    async def last_event_id(self) -> int:
        self._check()
        return max(self._events, default=0)

    # Webhooks

    async def pending_webhooks(self) -> builtins.list[Webhook]:
        self._check()
        return [hook for _, hook in sorted(self._webhooks.items())]

    async def webhook_done(self, id: str) -> None:
        self._check()
        self._webhooks.pop(id, None)

    async def webhook_failed(self, id: str, next_at: float, error: str) -> None:
        self._check()
        if id in self._webhooks:
            hook = self._webhooks[id]
            self._webhooks[id] = replace(hook, tries=hook.tries + 1, next_at=next_at)

    # Voices

    async def add_voice(self, reference: Reference) -> None:
        self._check()
        if _among(self._references, reference.owner, reference.name):
            raise voices.taken(reference)
        if reference.id in self._references:
            raise errors.Conflict(f"there is a voice {reference.id!r} already")
        self._references[reference.id] = reference

    async def voices(self, owner: str) -> builtins.list[Reference]:
        self._check()
        found = [each for each in self._references.values() if each.owner == owner]
        return sorted(found, key=lambda each: (each.created_at, each.id))

    async def voice(self, owner: str, id_or_name: str) -> Reference | None:
        self._check()
        return _among(self._references, owner, id_or_name)

    async def remove_voice(self, owner: str, id_or_name: str) -> Reference | None:
        self._check()
        found = _among(self._references, owner, id_or_name)
        return found and self._references.pop(found.id)

    async def digest_used(self, digest: str) -> bool:
        self._check()
        return any(each.digest == digest for each in self._references.values())

    # API keys

    async def add_key(self, key: Key) -> None:
        self._check()
        for other in self._api_keys.values():
            same_name = other.name == key.name and other.revoked_at is None
            if same_name or other.id == key.id or other.digest == key.digest:
                raise keys.taken(key.name)
        self._api_keys[key.id] = key

    async def keys(self) -> builtins.list[Key]:
        self._check()
        return sorted(self._api_keys.values(), key=lambda each: (each.created_at, each.id))

    async def revoke_key(self, id_or_name: str, at: float) -> Key | None:
        self._check()
        for key in self._api_keys.values():
            if id_or_name in (key.id, key.name) and key.revoked_at is None:
                gone = self._api_keys[key.id] = replace(key, revoked_at=at)
                return gone
        return None

    async def add_usage(self, key: str, day: str, seconds: float) -> None:
        self._check()
        self._usage[key, day] = self._usage.get((key, day), 0.0) + seconds

    async def usage(self, day: str) -> dict[str, float]:
        self._check()
        return {key: seconds for (key, on), seconds in self._usage.items() if on == day}

    # Retention

    async def prune(self, before: float) -> builtins.list[str]:
        self._check()
        ended = [kept.job for kept in self._jobs.values() if _ended_before(kept.job, before)]
        for job in ended:
            del self._jobs[job.id]
        self._webhooks = {id: hook for id, hook in self._webhooks.items() if hook.job in self._jobs}
        oldest = min(
            (event.id for event in self._events.values() if event.at >= before), default=max(self._events, default=0)
        )
        self._events = {id: event for id, event in self._events.items() if id >= oldest}
        expired = self._clock() - base.IDEMPOTENCY_SECONDS
        self._keys = {key: made for key, made in self._keys.items() if made[1] in self._jobs and made[2] > expired}
        return [job.result.name for job in ended if job.result and job.result.name]

    async def get_value(self, key: str) -> Any:
        self._check()
        text = self._values.get(key)
        return text and rows.decode(text)

    async def set_value(self, key: str, value: Any) -> None:
        self._check()
        self._values[key] = rows.encode(value)

    async def set_default(self, key: str, value: Any) -> Any:
        self._check()
        return rows.decode(self._values.setdefault(key, rows.encode(value)))

    def _insert(self, job: Job) -> None:
        if job.id in self._jobs:
            raise errors.Conflict(f"there is a job {job.id!r} already")
        self._jobs[job.id] = _Kept(_copy_job(job), job.attempt)

    def _find(self, id: str, owner: str | None) -> _Kept | None:
        kept = self._jobs.get(id)
        return kept if kept and (owner is None or kept.job.owner == owner) else None

    def _change(self, id: str, fence: int, change: Callable[[Job], Job]) -> bool:
        """Changes the running job that this fence belongs to."""
        self._check()
        kept = self._jobs.get(id)
        if kept is None or kept.fence != fence or kept.job.state is not State.RUNNING:
            return False
        kept.job = change(kept.job)
        return True


def _ended_before(job: Job, when: float) -> bool:
    return job.finished_at is not None and job.finished_at < when


def _copy_job(job: Job) -> Job:
    """The job as it comes back from disk: it shares no object with the caller's."""
    return rows.to_job((0, *rows.from_job(job)))


def _copy_event(event: Event) -> Event:
    """The event as it comes back from disk."""
    return rows.to_event((event.id, event.type, event.at, event.job, event.owner, rows.encode(event.data)))


def _among(references: dict[str, Reference], owner: str, id_or_name: str) -> Reference | None:
    by_id = references.get(id_or_name)
    if by_id is not None and by_id.owner == owner:
        return by_id
    return next((each for each in references.values() if each.owner == owner and each.name == id_or_name), None)
