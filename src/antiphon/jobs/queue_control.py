"""Queue control: an operator looks at the queue, pauses and resumes it, moves a job to the front, changes its class."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from antiphon.domain import errors
from antiphon.domain.job import Priority
from antiphon.jobs import views
from antiphon.jobs.active import ActiveJob
from antiphon.jobs.service import JobService
from antiphon.models.served import ServedModel
from antiphon.schedule.ticket import Ticket

#: Jobs that a look at the queue shows; more than anybody reads, few enough to be quick.
SHOWN = 500


@dataclass(slots=True)
class QueueControl:
    jobs: JobService
    #: Everything is paused, until `resume`.
    paused: bool = False

    def rows(self, limit: int = SHOWN) -> list[dict[str, Any]]:
        """The queue in the order in which jobs are expected to end, at most `limit` of those that came first."""
        found: list[tuple[float, dict[str, Any]]] = []
        for served in self.jobs.lifecycle.models.served.values():
            queued = [job for job in self.jobs.active.values() if job.served is served and job.ticket is not None]
            etas = served.dispatcher.etas([_ticket(active) for active in queued[:limit]])
            found += [(eta, self._row(active, eta)) for active, eta in zip(queued, etas, strict=False)]
        found.sort(key=lambda row: row[0])
        return [row for _, row in found[:limit]]

    def pause(self, job: str | None = None, client: str | None = None) -> None:
        """Hands out nothing of a job, of a client, or of anything; what runs goes on. Raises `NotFound`."""
        self._hold("pause", job, client)
        self.paused = self.paused or (job is None and client is None)

    def resume(self, job: str | None = None, client: str | None = None) -> None:
        """Ends what the same `pause` began. Raises `NotFound`."""
        self._hold("resume", job, client)
        self.paused = self.paused and not (job is None and client is None)

    def front(self, job: str) -> dict[str, Any]:
        """Puts a job before everybody else. Raises `NotFound`."""
        active = self._queued(job)
        active.served.dispatcher.queue.move_to_front(_ticket(active))
        active.served.dispatcher.pump()
        self.jobs.lifecycle.announce(active, "job.progress")
        return views.of_active(active)

    def change_class(self, job: str, priority: Priority) -> dict[str, Any]:
        """Puts a job into another class. Raises `NotFound`."""
        active = self._queued(job)
        active.served.dispatcher.queue.change_class(_ticket(active), priority)
        active.priority = priority
        self.jobs.lifecycle.announce(active, "job.progress")
        return views.of_active(active)

    def _hold(self, verb: str, job: str | None, client: str | None) -> None:
        if job is not None:
            active = self._queued(job)
            getattr(active.served.dispatcher.queue, verb)(_ticket(active))
            touched: list[ServedModel] = [active.served]
        else:
            touched = list(self.jobs.lifecycle.models.served.values())
            for served in touched:
                getattr(served.dispatcher.queue, verb)(client)
        for served in touched:
            served.dispatcher.pump()

    def _queued(self, job: str) -> ActiveJob:
        if (active := self.jobs.active.get(job)) is None or active.ticket is None:
            raise errors.NotFound(f"There is no job {job[:40]!r} in the queue")
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
