"""Prices of queued work: what was told by a guess is told again by what was learned since."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from antiphon.jobs.active import Live
from antiphon.models.served import Hosted

#: Jobs priced anew between two turns of the event loop.
BATCH = 200


async def reprice(hosted: Hosted, lives: Iterable[Live]) -> None:
    """Prices a model's queued jobs by what is known now, so that short and long are told apart by one measure."""
    dispatcher = hosted.dispatcher
    for number, live in enumerate(lives):
        if number % BATCH == BATCH - 1:
            await asyncio.sleep(0)
        factor = dispatcher.level / live.level
        if live.hosted is hosted and live.ticket is not None and not live.ticket.closed and factor != 1.0:
            dispatcher.queue.reprice(live.ticket, factor)
            live.level = dispatcher.level
