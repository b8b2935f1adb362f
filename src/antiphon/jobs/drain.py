"""The end of a server's life: takes nothing new, lets what runs end, and gives the rest back to the queue."""

from __future__ import annotations

import asyncio
import contextlib
import time

from antiphon.jobs.active import ActiveJob
from antiphon.jobs.service import JobService


async def drain(jobs: JobService, seconds: float) -> None:
    """What runs gets `seconds` to end; then it goes back to the queue without losing an attempt."""
    jobs.draining = True
    for active in tuple(jobs.active.values()):
        if active.durable and active.started_at is None:
            # It is on disk as queued: that is all the next life needs.
            await put_away(jobs, active)
    deadline = time.monotonic() + seconds
    while jobs.active and (left := deadline - time.monotonic()) > 0:
        jobs.left.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await jobs.left.wait()
    for active in tuple(jobs.active.values()):
        await put_away(jobs, active)


async def put_away(jobs: JobService, active: ActiveJob) -> None:
    """Work that did not end in time: back to the queue, without spending the attempt."""
    if active.task is not None:
        active.task.cancel()
    jobs.withdraw(active)
    jobs.forget(active)
    if active.durable and active.fence is not None:
        fence = await active.fence
        if fence is not None:
            await jobs.store.release(active.id, fence, spend=False)
