"""Prices of queued work: what was told by a guess is told again by what was learned since."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from antiphon.jobs.active import ActiveJob
from antiphon.models.served import ServedModel

#: Jobs priced anew between two turns of the event loop.
BATCH = 200


async def reprice(served: ServedModel, lives: Iterable[ActiveJob]) -> None:
    """Prices a model's queued jobs by what is known now, so that short and long are told apart by one measure."""
    dispatcher = served.dispatcher
    for number, active in enumerate(lives):
        if number % BATCH == BATCH - 1:
            await asyncio.sleep(0)
        factor = dispatcher.price_level / active.price_level
        if active.served is served and active.ticket is not None and not active.ticket.closed and factor != 1.0:
            dispatcher.queue.reprice(active.ticket, factor)
            active.price_level = dispatcher.price_level
