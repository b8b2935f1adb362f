"""Listen: streams the audio of a durable job while its segments are computed.

A listener takes no slot and no place in the queue: it reads from the cache what the job's own run has put there, and
learns from the job's events when that is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from antiphon.bus import Subscription
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.event import FINAL_EVENTS
from antiphon.domain.job import Job
from antiphon.jobs.active import ActiveJob
from antiphon.jobs.run import JobRun, RunCallbacks
from antiphon.jobs.service import JobService
from antiphon.speech import render
from antiphon.speech.plan import SpeechPlan


class NotStreamable(errors.Conflict):
    """The job does not run on this server now: the client has to wait for its end and fetch the file."""


async def stream(jobs: JobService, job_id: str, threads: Threads) -> AsyncGenerator[bytes]:
    """Encoded audio from the beginning of the text, each part as soon as its segment is done. Raises what ended the
    job, and `NotStreamable` for a job that does not run here, mostly before the first part."""
    with jobs.lifecycle.bus.subscribe(job=job_id) as events:
        active, plan = await _plan(jobs, job_id, events)
        run = JobRun(
            job_id,
            plan,
            jobs.lifecycle.shared,
            RunCallbacks(
                on_unit=lambda index, cached: None,
                on_failure=lambda error: None,
                # The cache has evicted a segment meanwhile; the finished file will contain it.
                requeue=lambda index: run.stop(NotStreamable("Ask for the result again when the job is done")),
            ),
            space=jobs.lifecycle.shared.space(active.owner),
        )
        if job_id not in jobs.active:
            await _apply_state(jobs, job_id, run)
        feeding = asyncio.create_task(_feed(jobs, job_id, run, events), name=f"follow {job_id}")
        try:
            timeline = render.Timeline()
            async with contextlib.aclosing(render.stream(run, plan, threads, timeline)) as parts:
                async for data in parts:
                    active.heard = max(active.heard, timeline.seconds)
                    yield data
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)


async def _plan(jobs: JobService, job_id: str, events: Subscription) -> tuple[ActiveJob, SpeechPlan]:
    """The job, and the plan of its own run; waits until its first unit is due, when the run is made."""
    while True:
        if (active := jobs.active.get(job_id)) is None:
            # The job has ended since it was read, or waits for something, such as a model that is not served.
            raise NotStreamable("The job is not being made now; ask for its result when it is done")
        if active.run is not None:
            assert isinstance(active.run.plan, SpeechPlan)
            return active, active.run.plan
        if await anext(events, None) is None:
            raise errors.Draining(retry_after=5.0)


async def _feed(jobs: JobService, job_id: str, run: JobRun, events: Subscription) -> None:
    """Marks units in the listener's run as cached when they are done, until the job ends."""
    async for event in events:
        if event.type == "unit.done" and event.data.get("skipped"):
            run.skip(event.data["index"])
        elif event.type == "unit.done":
            run.mark_cached(event.data["index"])
        elif event.type == "gap" or event.type in FINAL_EVENTS:
            await _apply_state(jobs, job_id, run)
    run.stop(errors.Draining(retry_after=5.0))


async def _apply_state(jobs: JobService, job_id: str, run: JobRun) -> None:
    """Marks all units in the cache, and stops the run if the job failed or was cancelled."""
    job = await jobs.stored(job_id)
    for index in _skipped(jobs, job):
        run.skip(index)
    for index, key in enumerate(run.keys):
        if job.result is not None or jobs.lifecycle.shared.cache.contains(key):
            run.mark_cached(index)
    if job.state.final and job.result is None:
        run.stop(errors.UnitFailed(job.error.message) if job.error else errors.Cancelled())


def _skipped(jobs: JobService, job: Job) -> list[int]:
    """Units that were left out of the job's audio so far."""
    if job.result is not None:
        return [index for index, segment in enumerate(job.result.segments) if segment.get("skipped")]
    active = jobs.active.get(job.id)
    return [] if active is None or active.run is None else sorted(active.run.skipped)
