"""Drain: the server takes nothing new, lets running work end, and gives the rest back to the queue."""

from __future__ import annotations

import asyncio
import contextlib
import time

from antiphon.jobs.active import ActiveJob
from antiphon.jobs.lifecycle import JobLifecycle
from antiphon.store.base import JobStore

#: Seconds that the store gets to write a job's start, which waits for space on a full disk.
START_TIMEOUT = 1.0


class Drain:
    def __init__(self, lifecycle: JobLifecycle, store: JobStore) -> None:
        self._lifecycle, self._store = lifecycle, store

    async def start(self) -> None:
        """Nothing is drained until the server stops."""

    async def stop(self) -> None:
        await self.drain(0.0)

    async def drain(self, seconds: float) -> None:
        """Running work gets `seconds` to end; then it goes back to the queue without losing an attempt."""
        lifecycle = self._lifecycle
        lifecycle.draining = True
        for job in tuple(lifecycle.active.values()):
            if job.durable and job.started_at is None:
                # It is on disk as queued: that is all the next process needs.
                await self._give_back(job)
        deadline = time.monotonic() + seconds
        while lifecycle.active and (left := deadline - time.monotonic()) > 0:
            lifecycle.left.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await lifecycle.left.wait()
        for job in tuple(lifecycle.active.values()):
            await self._give_back(job)

    async def _give_back(self, job: ActiveJob) -> None:
        """Work that did not end in time goes back to the queue, without spending the attempt."""
        if job.task is not None:
            job.task.cancel()
        self._lifecycle.drop(job)
        if job.durable and job.fence is not None:
            fence: int | None = None
            with contextlib.suppress(TimeoutError):
                fence = await asyncio.wait_for(job.fence, START_TIMEOUT)
            if fence is not None:
                await self._store.release(job.id, fence, spend=False)
