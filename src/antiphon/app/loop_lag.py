"""Loop lag: measures by how much the event loop is late, and how much the models could work meanwhile."""

from __future__ import annotations

import asyncio
import time

from antiphon.concurrency.tasks import TaskSet
from antiphon.models.registry import ModelRegistry
from antiphon.stats.observer import Observer

#: Seconds between two ticks.
TICK = 0.5


class LoopLag:
    def __init__(self, observer: Observer, models: ModelRegistry) -> None:
        self._observer, self._models = observer, models
        self._tasks = TaskSet()

    async def start(self) -> None:
        self._tasks.spawn(self._tick(), "measure the loop's lag")

    async def stop(self) -> None:
        await self._tasks.stop()

    async def _tick(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            slots = [(served.name, served.pool.parallel) for served in self._models.served.values()]
            self._observer.ticked(max(0.0, now - last - TICK), now - last, slots)
            last = now
