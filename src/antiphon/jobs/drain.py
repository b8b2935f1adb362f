"""The end of a server's life: takes nothing new, lets what runs end, and gives the rest back to the queue."""

from __future__ import annotations

import asyncio
import contextlib
import time

from antiphon.jobs.active import Live
from antiphon.jobs.service import Jobs


async def drain(jobs: Jobs, seconds: float) -> None:
    """What runs gets `seconds` to end; then it goes back to the queue without losing an attempt."""
    jobs.draining = True
    for live in tuple(jobs.live.values()):
        if live.durable and live.started_at is None:
            # It is on disk as queued: that is all the next life needs.
            await put_away(jobs, live)
    deadline = time.monotonic() + seconds
    while jobs.live and (left := deadline - time.monotonic()) > 0:
        jobs.left.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await jobs.left.wait()
    for live in tuple(jobs.live.values()):
        await put_away(jobs, live)


async def put_away(jobs: Jobs, live: Live) -> None:
    """Work that did not end in time: back to the queue, without spending the attempt."""
    if live.task is not None:
        live.task.cancel()
    jobs.withdraw(live)
    jobs.forget(live)
    if live.durable and live.fence is not None:
        fence = await live.fence
        if fence is not None:
            await jobs.store.release(live.id, fence, spend=False)
