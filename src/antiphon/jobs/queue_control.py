"""Queue control: an operator looks at the queue, pauses and resumes it, moves a job to the front, changes its class."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog

from antiphon.domain import errors
from antiphon.domain.job import Orders, Priority
from antiphon.jobs import views
from antiphon.jobs.active import ActiveJob
from antiphon.jobs.service import JobService
from antiphon.schedule.ticket import Ticket
from antiphon.store.base import JobStore

log = structlog.get_logger("antiphon.queue")

#: Jobs that a look at the queue shows; more than anybody reads, few enough to be quick.
SHOWN = 500
#: The client of the store's `pauses` that stands for everything.
EVERYTHING = ""
#: What a client can be called: the id of a key, or an address.
_CLIENT = re.compile(r"[!-~]{1,200}")


@dataclass(slots=True)
class QueueControl:
    """What an operator sets holds at once, and is in the store when a call returns. A restart changes none of it; where
    servers share the store, a pause of a client or of everything holds on all of them. Used in one event loop."""

    jobs: JobService
    store: JobStore
    #: Tells the other servers that share the store: the id of the job whose orders changed, or None for the pauses.
    tell: Callable[[str | None], Awaitable[None]]
    #: Since when (seconds since the epoch) clients are paused, or `EVERYTHING`.
    pauses: dict[str, float] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    # Start

    async def start(self) -> None:
        """Applies the pauses of the previous process. Comes after the models, whose queues are paused, and before jobs
        are taken up."""
        await self.reload()
        for client, since in self.pauses.items():
            log.warning(
                "the queue is paused" if client == EVERYTHING else "a client's work is paused",
                client=client or None,
                since=datetime.fromtimestamp(since).astimezone().isoformat(timespec="seconds"),
                resume="antiphon queue resume" + (f" --client {client}" if client else ""),
            )

    async def stop(self) -> None:
        """Nothing runs."""

    async def reload(self) -> None:
        """Reads the pauses again: another server may have changed them."""
        async with self._turn:
            stored = await self.store.pauses()
            for client in stored.keys() - self.pauses.keys():
                self._hold("pause", client)
            for client in self.pauses.keys() - stored.keys():
                self._hold("resume", client)
            self.pauses = stored

    async def reload_job(self, job: str) -> None:
        """Another server paused or resumed a job that runs here."""
        active, stored = self.jobs.active.get(job), await self.store.get(job)
        if active is not None and active.ticket is not None and stored is not None:
            self._hold_job(active, "resume" if stored.orders.paused_at is None else "pause")
            active.orders = stored.orders

    # Look

    @property
    def paused(self) -> bool:
        """Whether everything is paused."""
        return EVERYTHING in self.pauses

    def view(self, limit: int = SHOWN) -> dict[str, Any]:
        clients = [{"client": client, "since": since} for client, since in self.pauses.items() if client != EVERYTHING]
        return {
            "object": "queue", "paused": self.paused, "paused_since": self.pauses.get(EVERYTHING),
            "paused_clients": clients, "data": self.rows(limit),
        }  # fmt: skip

    def rows(self, limit: int = SHOWN) -> list[dict[str, Any]]:
        """The queue in the order in which jobs are expected to end, at most `limit` of those that came first."""
        found: list[tuple[float, dict[str, Any]]] = []
        for served in self.jobs.lifecycle.models.served.values():
            queued = [job for job in self.jobs.active.values() if job.served is served and job.ticket is not None]
            etas = served.dispatcher.etas([_ticket(active) for active in queued[:limit]])
            found += [(eta, self._row(active, eta)) for active, eta in zip(queued, etas, strict=False)]
        found.sort(key=lambda row: row[0])
        return [row for _, row in found[:limit]]

    # Change

    async def pause(self, job: str | None = None, client: str | None = None) -> None:
        """Hands out nothing of a job, of a client, or of anything; what runs goes on. Raises `NotFound`,
        `InvalidRequest`, and what the store raises: then the pause holds until the next restart."""
        if job is not None:
            await self._set_paused(job, time.time())
            return
        name = _client(client)
        async with self._turn:
            self._hold("pause", name)
            self.pauses.setdefault(name, time.time())
            await self.store.pause(name, self.pauses[name])
        await self.tell(None)

    async def resume(self, job: str | None = None, client: str | None = None) -> None:
        """Ends what the same `pause` began. Raises as `pause` does."""
        if job is not None:
            await self._set_paused(job, None)
            return
        name = _client(client)
        async with self._turn:
            self._hold("resume", name)
            self.pauses.pop(name, None)
            await self.store.unpause(name)
        await self.tell(None)

    async def front(self, job: str) -> dict[str, Any]:
        """Puts a job before everybody else. Raises `NotFound`."""
        active = self._queued(job)
        ticket = _ticket(active)
        active.served.dispatcher.queue.move_to_front(ticket)
        active.served.dispatcher.pump()
        await self._store(active, replace(active.orders, front=ticket.front))
        self.jobs.lifecycle.announce(active, "job.progress")
        return views.of_active(active)

    async def change_class(self, job: str, priority: Priority) -> dict[str, Any]:
        """Puts a job into another class. Raises `NotFound`."""
        active = self._queued(job)
        active.served.dispatcher.queue.change_class(_ticket(active), priority)
        active.priority = priority
        await self._store(active, replace(active.orders, priority=priority))
        self.jobs.lifecycle.announce(active, "job.progress")
        return views.of_active(active)

    async def _set_paused(self, job: str, since: float | None) -> None:
        verb = "resume" if since is None else "pause"
        if (active := self.jobs.active.get(job)) is not None and active.ticket is not None:
            self._hold_job(active, verb)
            if since is None or active.orders.paused_at is None:
                await self._store(active, replace(active.orders, paused_at=since))
            return
        # It waits for its model, or another server works on it.
        stored = await self.store.get(job)
        if stored is None or not await self.store.set_orders(job, replace(stored.orders, paused_at=since)):
            raise _not_queued(job)
        await self.reload_job(job)
        await self.tell(job)

    async def _store(self, active: ActiveJob, orders: Orders) -> None:
        """A request that a caller waits for ends with this process; it has no orders to keep."""
        active.orders = orders
        if active.durable:
            await self.store.set_orders(active.id, orders)

    def _hold(self, verb: str, client: str) -> None:
        for served in self.jobs.lifecycle.models.served.values():
            getattr(served.dispatcher.queue, verb)(client or None)
            served.dispatcher.pump()

    @staticmethod
    def _hold_job(active: ActiveJob, verb: str) -> None:
        getattr(active.served.dispatcher.queue, verb)(_ticket(active))
        active.served.dispatcher.pump()

    def _queued(self, job: str) -> ActiveJob:
        if (active := self.jobs.active.get(job)) is None or active.ticket is None:
            raise _not_queued(job)
        return active

    @staticmethod
    def _row(active: ActiveJob, eta: float) -> dict[str, Any]:
        return {
            "id": active.id, "owner": active.owner, "model": active.served.name, "priority": active.priority,
            "status": str(active.state), "paused": _ticket(active).paused, "durable": active.durable,
            "created_at": active.created_at, "eta": round(eta, 3) if math.isfinite(eta) else None,
            "units": asdict(active.units),
        }  # fmt: skip


def _ticket(active: ActiveJob) -> Ticket:
    assert active.ticket is not None
    return active.ticket


def _client(client: str | None) -> str:
    """The name in the store's `pauses`. Raises `InvalidRequest` for a name that no client has."""
    if client is not None and not _CLIENT.fullmatch(client):
        raise errors.InvalidRequest("client must be the id of a key, or an address", param="client")
    return EVERYTHING if client is None else client


def _not_queued(job: str) -> errors.NotFound:
    return errors.NotFound(f"There is no job {job[:40]!r} in the queue")
