"""What an operator set for the queue, in SQLite: pauses, and orders for single jobs."""

from __future__ import annotations

from antiphon.domain.job import Orders
from antiphon.store.sqlite_connections import SqliteConnections


class SqliteOrders(SqliteConnections):
    """Part of `SqliteStore`."""

    async def set_orders(self, id: str, orders: Orders) -> bool:
        return await self._change("set_orders", id, orders.paused_at, orders.front, orders.priority) is not None

    async def pauses(self) -> dict[str, float]:
        return {row[0]: row[1] for row in await self._rows("pauses")}

    async def pause(self, client: str, since: float) -> None:
        await self._change("pause", client, since)

    async def unpause(self, client: str) -> None:
        await self._change("unpause", client)
