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
from antiphon.jobs.active import ActiveJob
from antiphon.speech import planner

if TYPE_CHECKING:
    from antiphon.jobs.lifecycle import JobLifecycle as JobService
    from antiphon.models.served import ServedModel

log = structlog.get_logger("antiphon.jobs")

#: Seconds between tries to write a result while the disk is full.
RETRY_WRITE = 2.0


async def load(jobs: JobService, active: ActiveJob) -> None:
    """Reads the job's text again and plans it; the same request gives the same units.

    Raises `Cancelled` after it has taken out a job that can no longer be run.
    """
    job = await jobs.store.get(active.id)
    try:
        if job is None:
            raise errors.NotFound(f"job {active.id} is gone from the store")
        kind = jobs.kinds[job.type]
        plan = await kind.plan(kind.parse(job.request), active.served)
    except errors.StorageDown as e:
        # A slot is not kept waiting: the job is taken up again when its recording can be had.
        jobs.withdraw(active)
        jobs.forget(active)
        _later(jobs, active.id, e)
        raise errors.Cancelled from e
    except errors.AntiphonError as e:
        jobs.withdraw(active)
        jobs.forget(active)
        await _fail_unstarted(jobs, active.id, e)
        raise errors.Cancelled from e
    active.run = jobs.new_run(active, plan)
    active.units = Units(active.run.total, active.run.done_units, active.run.cached)


async def _fail_unstarted(jobs: JobService, job_id: str, error: errors.AntiphonError) -> None:
    fence = await start(jobs, job_id)
    if fence is None:
        return
    if await jobs.store.finish(job_id, fence, State.FAILED, error=Failure(error.code, error.message)):
        await tell_end(jobs, job_id)


async def tell_end(jobs: JobService, job_id: str) -> None:
    """Of a final job that is not worked on here: whoever listens to it, and its webhook, hear of its end."""
    job = await jobs.store.get(job_id)
    if job is not None and job.state.final:
        jobs.publish_end(job)


def _later(jobs: JobService, job_id: str, error: errors.StorageDown) -> None:
    log.warning("a job waits for a recording", job=job_id, error=error.message, again_in=RETRY_WRITE)
    jobs.spawn(_again(jobs, job_id), f"take up {job_id}", waits=True)


async def _again(jobs: JobService, job_id: str) -> None:
    await asyncio.sleep(RETRY_WRITE)
    await take_up(jobs, job_id)


async def _when_served(jobs: JobService, job: Job) -> None:
    await jobs.models.until(lambda: _taker(jobs, job) is not None)
    await take_up(jobs, job.id)


def _taker(jobs: JobService, job: Job) -> ServedModel | None:
    return jobs.models.taker(str(job.request.get("model") or ""), job.type)


async def take_up(jobs: JobService, job_id: str) -> None:
    """Goes on with a job that is queued in the store, unless somebody works on it already.

    A store that is away is waited for: nobody else will take the job up."""
    while True:
        try:
            job = await jobs.store.get(job_id)
            if job is not None and job.state is State.QUEUED and job_id not in jobs.active and not jobs.draining:
                await resume(jobs, job)
            return
        except errors.StoreAway as e:
            log.warning("a job waits for the store", job=job_id, error=e.message, again_in=RETRY_WRITE)
            await asyncio.sleep(RETRY_WRITE)


async def start(jobs: JobService, job_id: str) -> int | None:
    """The fence of this run; waits for space on a full disk, for accepted work is not lost to that."""
    while True:
        try:
            return await jobs.store.start(job_id)
        except errors.StorageFull:
            log.warning("disk full, the job's start waits for space", job=job_id, again_in=RETRY_WRITE)
            await asyncio.sleep(RETRY_WRITE)


async def carry(jobs: JobService, active: ActiveJob) -> None:
    """Joins the job's units into its file and ends it in the store, by the fence that its start gave."""
    assert active.run is not None
    assert active.fence is not None
    fence = await active.fence
    if fence is None:
        # Cancelled between its queueing and its start.
        jobs.forget(active)
        return
    result, failure = await _outcome(jobs, active)
    if result is None and failure is None:
        return
    state = State.SUCCEEDED if result else State.FAILED
    ours = await _finish(jobs, active, fence, state, result, failure)
    jobs.forget(active)
    if ours:
        ending = views.of_ending(active, result, failure)
        jobs.tell(active, "job.succeeded" if result else "job.failed", ending)


async def _finish(
    jobs: JobService, active: ActiveJob, fence: int, state: State, result: Result | None, failure: Failure | None
) -> bool:
    while True:
        try:
            return await jobs.store.finish(active.id, fence, state, result=result, error=failure, units=active.units)
        except errors.StorageFull:
            log.warning("disk full, the job's end waits for space", job=active.id, again_in=RETRY_WRITE)
            await asyncio.sleep(RETRY_WRITE)


async def _outcome(jobs: JobService, active: ActiveJob) -> tuple[Result | None, Failure | None]:
    """The result, or why there is none; neither for a job that somebody cancelled."""
    try:
        return await _write(jobs, active), None
    except errors.Cancelled:
        return None, None
    except errors.AntiphonError as e:
        return None, Failure(e.code, e.message)
    except Exception as e:
        log.exception("a job failed inside the server", job=active.id)
        return None, Failure("internal_error", f"{type(e).__name__}: {e}")


async def _write(jobs: JobService, active: ActiveJob) -> Result:
    assert active.run is not None
    write = jobs.kinds[active.type].write
    while True:
        try:
            result = await write(active.run, active.run.plan, jobs.files.output, jobs.threads)
            break
        except OSError as e:
            if e.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # Accepted work is not lost to a full disk: its units are made, it waits for space.
            log.warning("disk full, the job waits for space", job=active.id, again_in=RETRY_WRITE)
            await asyncio.sleep(RETRY_WRITE)
            active.run = jobs.new_run(active, active.run.plan)
            for index in active.run.missing():
                jobs.again(active, index)
    while True:
        try:
            # Before anybody is told of its end: every server can give it out then.
            await jobs.files.publish(result)
            return result
        except errors.StorageDown as e:
            log.warning(
                "the storage is down, the job's end waits", job=active.id, error=e.message, again_in=RETRY_WRITE
            )
            await asyncio.sleep(RETRY_WRITE)


async def resume(jobs: JobService, job: Job) -> None:
    """Puts a stored, queued job into the schedule again. It was admitted once and is not refused now."""
    kind = jobs.kinds[job.type]
    request = kind.parse(job.request)
    served = _taker(jobs, job)
    if served is None:
        log.info("a job waits for a model that has not started", job=job.id, model=request.model)
        jobs.spawn(_when_served(jobs, job), f"wait for the model of {job.id}", waits=True)
        return
    try:
        plan = await kind.plan(request, served)
    except errors.StorageDown as e:
        _later(jobs, job.id, e)
        return
    except errors.AntiphonError as e:
        # What was valid is not any more, such as a voice that is gone.
        await _fail_unstarted(jobs, job.id, e)
        return
    if job.id in jobs.active:
        # Taken up while this one was planned: it was waited for, and retried too.
        return
    active = planner.new_live(job.owner, served, plan, durable=True)
    active.id, active.created_at, active.attempts = job.id, job.created_at, job.attempt
    missing = jobs.new_run(active, plan).missing()
    costs = planner.costs(served, plan, missing)
    jobs.intake.readmit(active, plan, costs)
    # Its age goes on counting, or a queue that restarts often would be one that never ends.
    active.arrived = time.monotonic() - max(0.0, time.time() - active.created_at)
    jobs.take_in(active, missing, costs)
