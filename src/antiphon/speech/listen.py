"""A durable job's sound while it is made, for listeners who take no slot and no place in line.

They read what the job's own run has put into the cache, as its events tell of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from antiphon.bus import Subscription
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.event import FINAL_EVENTS
from antiphon.jobs.run import JobRun, RunCallbacks
from antiphon.jobs.service import JobService
from antiphon.speech import render
from antiphon.speech.plan import SpeechPlan


class NotStreamable(errors.Conflict):
    """The job is not being made here, or no more: whoever listens waits for its end and takes the file."""


async def stream(jobs: JobService, job_id: str, threads: Threads) -> AsyncGenerator[bytes]:
    """Encoded audio from the beginning, each part as soon as its segment is done.

    Raises what ended the job, and `NotStreamable`, mostly before the first part, for a job without a run."""
    with jobs.lifecycle.bus.subscribe(job=job_id) as events:
        plan = await _plan(jobs, job_id, events)
        run = JobRun(
            job_id,
            plan,
            jobs.lifecycle.shared,
            RunCallbacks(
                on_unit=lambda index, cached: None,
                on_failure=lambda error: None,
                # What the cache has lost meanwhile, the finished file still has.
                requeue=lambda index: run.stop(NotStreamable("Ask for the result again when the job is done")),
            ),
        )
        if job_id not in jobs.active:
            await _ended(jobs, job_id, run)
        feeding = asyncio.create_task(_feed(jobs, job_id, run, events), name=f"follow {job_id}")
        try:
            async with contextlib.aclosing(render.stream(run, plan, threads, render.Timeline())) as parts:
                async for data in parts:
                    yield data
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)


async def _plan(jobs: JobService, job_id: str, events: Subscription) -> SpeechPlan:
    """The plan of the job's own run, which it has from its first slot on."""
    while True:
        active = jobs.active.get(job_id)
        if active is None:
            # It has ended since it was looked up, or it waits for something, such as a model that is not served.
            raise NotStreamable("The job is not being made now; ask for its result when it is done")
        if active.run is not None:
            assert isinstance(active.run.plan, SpeechPlan)
            return active.run.plan
        if await anext(events, None) is None:
            raise errors.Draining(retry_after=5.0)


async def _feed(jobs: JobService, job_id: str, run: JobRun, events: Subscription) -> None:
    """Tells the listener's run which units are made, until the job ends."""
    async for event in events:
        if event.type == "unit.done":
            run.mark_cached(event.data["index"])
        elif event.type == "gap" or event.type in FINAL_EVENTS:
            await _ended(jobs, job_id, run)
    run.stop(errors.Draining(retry_after=5.0))


async def _ended(jobs: JobService, job_id: str, run: JobRun) -> None:
    """All that the cache has; and if the job failed, why there will be no more."""
    job = await jobs.stored(job_id)
    for index, key in enumerate(run.keys):
        if job.result is not None or jobs.lifecycle.shared.cache.contains(key):
            run.mark_cached(index)
    if job.state.final and job.result is None:
        run.stop(errors.UnitFailed(job.error.message) if job.error else errors.Cancelled())
