"""A durable job from its first unit to its end in the store, and back into the schedule after a restart."""

from __future__ import annotations

import asyncio
import errno
import time
from typing import TYPE_CHECKING

import structlog

from antiphon.domain import errors
from antiphon.domain.job import Failure, Job, Result, State, Units
from antiphon.jobs import views
from antiphon.jobs.active import Live
from antiphon.speech import planner

if TYPE_CHECKING:
    from antiphon.jobs.lifecycle import Workshop as Jobs
    from antiphon.models.served import Hosted

log = structlog.get_logger("antiphon.jobs")

#: Seconds between tries to write a result while the disk is full.
RETRY_WRITE = 2.0


async def load(jobs: Jobs, live: Live) -> None:
    """Reads the job's text again and plans it; the same request gives the same units.

    Raises `Cancelled` after it has taken out a job that can no longer be run.
    """
    job = await jobs.store.get(live.id)
    try:
        if job is None:
            raise errors.NotFound(f"job {live.id} is gone from the store")
        kind = jobs.kinds[job.type]
        plan = await kind.plan(kind.parse(job.request), live.hosted)
    except errors.StorageDown as e:
        # A slot is not kept waiting: the job is taken up again when its recording can be had.
        jobs.withdraw(live)
        jobs.forget(live)
        _later(jobs, live.id, e)
        raise errors.Cancelled from e
    except errors.AntiphonError as e:
        jobs.withdraw(live)
        jobs.forget(live)
        await _fail_unstarted(jobs, live.id, e)
        raise errors.Cancelled from e
    live.run = jobs.new_run(live, plan)
    live.units = Units(live.run.total, live.run.done_units, live.run.cached)


async def _fail_unstarted(jobs: Jobs, job_id: str, error: errors.AntiphonError) -> None:
    fence = await start(jobs, job_id)
    if fence is None:
        return
    if await jobs.store.finish(job_id, fence, State.FAILED, error=Failure(error.code, error.message)):
        await tell_end(jobs, job_id)


async def tell_end(jobs: Jobs, job_id: str) -> None:
    """Of a final job that is not worked on here: whoever listens to it, and its webhook, hear of its end."""
    job = await jobs.store.get(job_id)
    if job is not None and job.state.final:
        jobs.publish_end(job)


def _later(jobs: Jobs, job_id: str, error: errors.StorageDown) -> None:
    log.warning("a job waits for a recording", job=job_id, error=error.message, again_in=RETRY_WRITE)
    jobs.spawn(_again(jobs, job_id), f"take up {job_id}", waits=True)


async def _again(jobs: Jobs, job_id: str) -> None:
    await asyncio.sleep(RETRY_WRITE)
    await take_up(jobs, job_id)


async def _when_served(jobs: Jobs, job: Job) -> None:
    await jobs.models.until(lambda: _taker(jobs, job) is not None)
    await take_up(jobs, job.id)


def _taker(jobs: Jobs, job: Job) -> Hosted | None:
    return jobs.models.taker(str(job.request.get("model") or ""), job.type)


async def take_up(jobs: Jobs, job_id: str) -> None:
    """Goes on with a job that is queued in the store, unless somebody works on it already.

    A store that is away is waited for: nobody else will take the job up."""
    while True:
        try:
            job = await jobs.store.get(job_id)
            if job is not None and job.state is State.QUEUED and job_id not in jobs.live and not jobs.draining:
                await resume(jobs, job)
            return
        except errors.StoreAway as e:
            log.warning("a job waits for the store", job=job_id, error=e.message, again_in=RETRY_WRITE)
            await asyncio.sleep(RETRY_WRITE)


async def start(jobs: Jobs, job_id: str) -> int | None:
    """The fence of this run; waits for space on a full disk, for accepted work is not lost to that."""
    while True:
        try:
            return await jobs.store.start(job_id)
        except errors.StorageFull:
            log.warning("disk full, the job's start waits for space", job=job_id, again_in=RETRY_WRITE)
            await asyncio.sleep(RETRY_WRITE)


async def carry(jobs: Jobs, live: Live) -> None:
    """Joins the job's units into its file and ends it in the store, by the fence that its start gave."""
    assert live.run is not None
    assert live.fence is not None
    fence = await live.fence
    if fence is None:
        # Cancelled between its queueing and its start.
        jobs.forget(live)
        return
    result, failure = await _outcome(jobs, live)
    if result is None and failure is None:
        return
    state = State.SUCCEEDED if result else State.FAILED
    ours = await _finish(jobs, live, fence, state, result, failure)
    jobs.forget(live)
    if ours:
        ending = views.of_ending(live, result, failure)
        jobs.tell(live, "job.succeeded" if result else "job.failed", ending)


async def _finish(
    jobs: Jobs, live: Live, fence: int, state: State, result: Result | None, failure: Failure | None
) -> bool:
    while True:
        try:
            return await jobs.store.finish(live.id, fence, state, result=result, error=failure, units=live.units)
        except errors.StorageFull:
            log.warning("disk full, the job's end waits for space", job=live.id, again_in=RETRY_WRITE)
            await asyncio.sleep(RETRY_WRITE)


async def _outcome(jobs: Jobs, live: Live) -> tuple[Result | None, Failure | None]:
    """The result, or why there is none; neither for a job that somebody cancelled."""
    try:
        return await _write(jobs, live), None
    except errors.Cancelled:
        return None, None
    except errors.AntiphonError as e:
        return None, Failure(e.code, e.message)
    except Exception as e:
        log.exception("a job failed inside the server", job=live.id)
        return None, Failure("internal_error", f"{type(e).__name__}: {e}")


async def _write(jobs: Jobs, live: Live) -> Result:
    assert live.run is not None
    write = jobs.kinds[live.type].write
    while True:
        try:
            result = await write(live.run, live.run.plan, jobs.depot.output, jobs.threads)
            break
        except OSError as e:
            if e.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # Accepted work is not lost to a full disk: its units are made, it waits for space.
            log.warning("disk full, the job waits for space", job=live.id, again_in=RETRY_WRITE)
            await asyncio.sleep(RETRY_WRITE)
            live.run = jobs.new_run(live, live.run.plan)
            for index in live.run.missing():
                jobs.again(live, index)
    while True:
        try:
            # Before anybody is told of its end: every server can give it out then.
            await jobs.depot.publish(result)
            return result
        except errors.StorageDown as e:
            log.warning("the storage is down, the job's end waits", job=live.id, error=e.message, again_in=RETRY_WRITE)
            await asyncio.sleep(RETRY_WRITE)


async def resume(jobs: Jobs, job: Job) -> None:
    """Puts a stored, queued job into the schedule again. It was admitted once and is not refused now."""
    kind = jobs.kinds[job.type]
    request = kind.parse(job.request)
    hosted = _taker(jobs, job)
    if hosted is None:
        log.info("a job waits for a model that has not started", job=job.id, model=request.model)
        jobs.spawn(_when_served(jobs, job), f"wait for the model of {job.id}", waits=True)
        return
    try:
        plan = await kind.plan(request, hosted)
    except errors.StorageDown as e:
        _later(jobs, job.id, e)
        return
    except errors.AntiphonError as e:
        # What was valid is not any more, such as a voice that is gone.
        await _fail_unstarted(jobs, job.id, e)
        return
    if job.id in jobs.live:
        # Taken up while this one was planned: it was waited for, and retried too.
        return
    live = planner.new_live(job.owner, hosted, plan, durable=True)
    live.id, live.created_at, live.attempts = job.id, job.created_at, job.attempt
    missing = jobs.new_run(live, plan).missing()
    costs = planner.costs(hosted, plan, missing)
    jobs.intake.readmit(live, plan, costs)
    # Its age goes on counting, or a queue that restarts often would be one that never ends.
    live.arrived = time.monotonic() - max(0.0, time.time() - live.created_at)
    jobs.take_in(live, missing, costs)
