"""Recovery: jobs that a previous process, or another server, left unfinished are taken up, and untold ends are told."""

from __future__ import annotations

import time

import structlog

from antiphon.bus import Bus
from antiphon.domain.job import Kind
from antiphon.jobs.durable import DurableRunner
from antiphon.jobs.lifecycle import JobLifecycle
from antiphon.jobs.webhooks import Webhooks
from antiphon.store.base import JobStore

log = structlog.get_logger("antiphon.jobs")

#: Seconds back for which unannounced ends of jobs are looked for.
LOOK_BACK = 3600.0


class Recovery:
    """Looks for such jobs when the server starts, and whenever another server is gone."""

    def __init__(
        self, lifecycle: JobLifecycle, durable: DurableRunner, store: JobStore, webhooks: Webhooks, bus: Bus
    ) -> None:
        self._lifecycle, self._durable, self._store = lifecycle, durable, store
        self._webhooks, self._bus = webhooks, bus
        self._started_at = time.time()
        #: Servers of the store that were alive at the last look.
        self._alive: set[str] = set()

    async def start(self) -> None:
        self._started_at = time.time()
        self._lifecycle.tasks.spawn(self.rescue(), "rescue")
        self._lifecycle.tasks.spawn(self.announce_ends(), "announce ends")

    async def stop(self) -> None:
        """The lifecycle's tasks end with the lifecycle."""

    async def take_over(self) -> None:
        """Goes on with what another server left."""
        # Ids go on from its last ones, so that a subscriber's place stays right.
        self._bus.start_after(await self._store.last_event_id())
        assert self._store.cluster is not None
        alive = {name for name, _, _ in await self._store.cluster.servers()}
        if self._alive - alive:
            await self.announce_ends()
        self._alive = alive
        await self.rescue()
        await self._webhooks.take_up()

    async def rescue(self) -> None:
        """Takes up what was queued or running when its process ended, model by model as models become ready."""
        found: dict[tuple[str, Kind], list[str]] = {}
        async for job in self._store.rescue():
            # Only ids: a long queue is not to be in memory as a whole, texts and all.
            found.setdefault((str(job.request.get("model") or ""), job.type), []).append(job.id)
        if found:
            log.info("taking up jobs of a previous process, or of another server", jobs=sum(map(len, found.values())))
        for (model, kind), jobs in found.items():
            # Each by itself: a model that does not start must not keep the others, or the next rescue, from going on.
            self._lifecycle.tasks.spawn(self._resume(model, kind, jobs), f"take up jobs of {model}", idle=True)

    async def announce_ends(self) -> None:
        """Subscribers hear of a job's end also where its server was killed before it announced it."""
        for job in await self._store.unannounced_endings(time.time() - LOOK_BACK, self._started_at):
            self._lifecycle.announce_end(job)

    async def _resume(self, model: str, kind: Kind, jobs: list[str]) -> None:
        models = self._lifecycle.models
        await models.until(lambda: models.selector.for_stored_job(model, kind) is not None)
        for job_id in jobs:
            await self._durable.take_up(job_id)
