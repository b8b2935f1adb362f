"""Repricing: queued work that was priced by an old prediction is priced again by what was learned since."""

from __future__ import annotations

import asyncio

from antiphon.jobs.lifecycle import JobLifecycle
from antiphon.models.served import ServedModel

#: Jobs that are priced between two turns of the event loop.
BATCH = 200


class Repricing:
    """Otherwise a backlog priced by a guess would go before a short request priced by what is known."""

    def __init__(self, lifecycle: JobLifecycle) -> None:
        self._lifecycle = lifecycle
        #: Names of models whose queue is about to be priced.
        self._due: set[str] = set()

    def soon(self, served: ServedModel) -> None:
        """Prices a model's queued jobs again, once, however often it is called meanwhile."""
        if served.name not in self._due:
            self._due.add(served.name)
            self._lifecycle.tasks.spawn(self._reprice(served), f"reprice {served.name}")

    async def _reprice(self, served: ServedModel) -> None:
        self._due.discard(served.name)
        dispatcher = served.dispatcher
        for number, job in enumerate(tuple(self._lifecycle.active.values())):
            if number % BATCH == BATCH - 1:
                await asyncio.sleep(0)
            factor = dispatcher.price_level / job.price_level
            if job.served is served and job.ticket is not None and not job.ticket.closed and factor != 1.0:
                dispatcher.queue.reprice(job.ticket, factor)
                self._lifecycle.admission.reprice(job, factor)
                job.price_level = dispatcher.price_level
