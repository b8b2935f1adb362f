"""The operator's hand on the queue: look at it, pause and resume, move a job to the front, change its class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from antiphon.domain import errors
from antiphon.domain.job import Priority
from antiphon.jobs import views
from antiphon.jobs.active import Live
from antiphon.jobs.service import Jobs
from antiphon.models.served import Hosted
from antiphon.schedule.queue import Ticket

#: Jobs that a look at the queue shows; more than anybody reads, few enough to be quick.
SHOWN = 500


@dataclass(slots=True)
class Control:
    jobs: Jobs
    #: Everything is paused, until `resume`.
    paused: bool = False

    def look(self, limit: int = SHOWN) -> list[dict[str, Any]]:
        """The queue in the order in which jobs are expected to end, at most `limit` of those that came first."""
        found: list[tuple[float, dict[str, Any]]] = []
        for hosted in self.jobs.models.hosted.values():
            lives = [live for live in self.jobs.live.values() if live.hosted is hosted and live.ticket is not None]
            etas = hosted.dispatcher.etas([_ticket(live) for live in lives[:limit]])
            found += [(eta, self._row(live, eta)) for live, eta in zip(lives, etas, strict=False)]
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
        live = self._live(job)
        live.hosted.dispatcher.queue.move_to_front(_ticket(live))
        live.hosted.dispatcher.pump()
        self.jobs.tell(live, "job.progress")
        return views.of_live(live)

    def change_class(self, job: str, priority: Priority) -> dict[str, Any]:
        """Puts a job into another class. Raises `NotFound`."""
        live = self._live(job)
        live.hosted.dispatcher.queue.change_class(_ticket(live), priority)
        live.priority = priority
        self.jobs.tell(live, "job.progress")
        return views.of_live(live)

    def _hold(self, verb: str, job: str | None, client: str | None) -> None:
        if job is not None:
            live = self._live(job)
            getattr(live.hosted.dispatcher.queue, verb)(_ticket(live))
            touched: list[Hosted] = [live.hosted]
        else:
            touched = list(self.jobs.models.hosted.values())
            for hosted in touched:
                getattr(hosted.dispatcher.queue, verb)(client)
        for hosted in touched:
            hosted.dispatcher.pump()

    def _live(self, job: str) -> Live:
        live = self.jobs.live.get(job)
        if live is None or live.ticket is None:
            raise errors.NotFound(f"There is no job {job[:40]!r} in the queue")
        return live

    @staticmethod
    def _row(live: Live, eta: float) -> dict[str, Any]:
        return {
            "id": live.id,
            "owner": live.owner,
            "model": live.hosted.name,
            "priority": live.priority,
            "status": str(live.state),
            "paused": _ticket(live).paused,
            "durable": live.durable,
            "created_at": live.created_at,
            "eta": round(eta, 3) if math.isfinite(eta) else None,
            "units": {"total": live.units.total, "done": live.units.done, "cached": live.units.cached},
        }


def _ticket(live: Live) -> Ticket:
    assert live.ticket is not None
    return live.ticket
