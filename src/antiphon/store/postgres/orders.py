"""What an operator set for the queue, in PostgreSQL: pauses, and orders for single jobs."""

from __future__ import annotations

from antiphon.domain.job import Orders
from antiphon.store.postgres.connection import ConnectionPool
from antiphon.store.postgres.sql import SQL


class PostgresOrders:
    """Part of `PostgresStore`."""

    _pool: ConnectionPool

    async def set_orders(self, id: str, orders: Orders) -> bool:
        values = {"id": id, "paused_at": orders.paused_at, "front": orders.front, "priority": orders.priority}
        return await self._pool.value(SQL["set_orders"], values) is not None

    async def pauses(self) -> dict[str, float]:
        return {row[0]: row[1] for row in await self._pool.rows(SQL["pauses"])}

    async def pause(self, client: str, since: float) -> None:
        await self._pool.rows(SQL["pause"], {"client": client, "since": since})

    async def unpause(self, client: str) -> None:
        await self._pool.rows(SQL["unpause"], {"client": client})
