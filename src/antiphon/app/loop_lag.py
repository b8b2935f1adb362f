"""The pulse: a small tick that measures by how much the event loop is late, and how many slots there are meanwhile."""

from __future__ import annotations

import asyncio
import time

from antiphon.models.registry import ModelRegistry
from antiphon.stats.observer import Observer

#: Seconds between two ticks.
TICK = 0.5


async def beat(observer: Observer, models: ModelRegistry) -> None:
    """Until it is cancelled."""
    last = time.monotonic()
    while True:
        await asyncio.sleep(TICK)
        now = time.monotonic()
        slots = [(served.name, served.pool.slots) for served in models.served.values()]
        observer.beat(max(0.0, now - last - TICK), now - last, slots)
        last = now
