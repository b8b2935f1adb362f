"""Pending webhooks in the SQLite store and in the store in memory."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable
from dataclasses import replace

from antiphon.store.base import Webhook
from antiphon.store.parts import MemoryState, SqliteConnections


class SqliteWebhooks(SqliteConnections):
    """Part of `SqliteStore`."""

    async def pending_webhooks(self) -> builtins.list[Webhook]:
        return [Webhook(*row) for row in await self._rows("pending_webhooks")]

    async def webhook_done(self, id: str) -> None:
        await self._change("webhook_done", id)

    async def webhook_failed(self, id: str, next_at: float, error: str) -> None:
        await self._change("webhook_failed", id, next_at, error)


class MemoryWebhooks(MemoryState):
    """Part of `MemoryStore`."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._webhooks: dict[str, Webhook] = {}

    async def pending_webhooks(self) -> builtins.list[Webhook]:
        self._check()
        return [hook for _, hook in sorted(self._webhooks.items())]

    async def webhook_done(self, id: str) -> None:
        self._check()
        self._webhooks.pop(id, None)

    async def webhook_failed(self, id: str, next_at: float, error: str) -> None:
        self._check()
        if id in self._webhooks:
            hook = self._webhooks[id]
            self._webhooks[id] = replace(hook, tries=hook.tries + 1, next_at=next_at)
