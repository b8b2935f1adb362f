"""Learned figures: what units cost, how long models load, and the statistics, kept over a restart."""

from __future__ import annotations

import asyncio
import contextlib

from antiphon.concurrency.tasks import TaskSet
from antiphon.domain import errors
from antiphon.schedule.cost import CostModels
from antiphon.stats.daily import Statistics
from antiphon.store.base import JobStore

#: Seconds between saves.
SAVE = 30.0


class LearnedFigures:
    """Costs are common to all servers of a store; load times and statistics are each server's own."""

    def __init__(
        self, store: JobStore, costs: CostModels, load_seconds: dict[str, float], statistics: Statistics
    ) -> None:
        """`load_seconds`: how long each model took to load the last time, by name."""
        self._store, self._costs, self._load_seconds, self._statistics = store, costs, load_seconds, statistics
        self._tasks = TaskSet()

    async def start(self) -> None:
        if (costs := await self._store.get_value("costs")) is not None:
            self._costs.load_json(costs)
        self._load_seconds.update(await self._store.get_value(own_name(self._store, "loads")) or {})
        self._statistics.load_json(await self._store.get_value(own_name(self._store, "statistics")))
        self._tasks.spawn(self._save_often(), "save learned figures")

    async def stop(self) -> None:
        await self._tasks.stop()
        await self._save()

    async def _save_often(self) -> None:
        while True:
            await asyncio.sleep(SAVE)
            await self._save()

    async def _save(self) -> None:
        # A store that is full or away must not end the saving, nor keep the rest from being stopped.
        with contextlib.suppress(errors.StorageFull, errors.StoreError):
            await self._store.set_value("costs", self._costs.to_json())
            loads = {name: round(seconds, 2) for name, seconds in self._load_seconds.items()}
            await self._store.set_value(own_name(self._store, "loads"), loads)
            await self._store.set_value(own_name(self._store, "statistics"), self._statistics.to_json())


def own_name(store: JobStore, name: str) -> str:
    """The name under which a server's own figures are kept."""
    return name if store.cluster is None else f"{name} of {store.cluster.server}"
