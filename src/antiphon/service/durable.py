"""A durable job from its first unit to its end in the store, and back into the schedule after a restart."""

from __future__ import annotations

import asyncio
import errno
import time
from typing import TYPE_CHECKING

import structlog

from antiphon.domain import errors
from antiphon.domain.job import Failure, Job, Result, State, Units
from antiphon.service import intake, views
from antiphon.service.live import Live

if TYPE_CHECKING:
    from antiphon.service.workshop import Workshop as Jobs

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
    except errors.AntiphonError as e:
        jobs.withdraw(live)
        jobs.forget(live)
        await _fail_unstarted(jobs, live.id, e)
        raise errors.Cancelled from e
    live.run = jobs.new_run(live, plan)
    live.units = Units(live.run.total, live.run.done_units, live.run.cached)


async def _fail_unstarted(jobs: Jobs, job_id: str, error: errors.AntiphonError) -> None:
    fence = await start(jobs, job_id)
    if fence is not None:
        await jobs.store.finish(job_id, fence, State.FAILED, error=Failure(error.code, error.message))


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
            return await write(live.run, live.run.plan, jobs.output, jobs.threads)
        except OSError as e:
            if e.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # Accepted work is not lost to a full disk: its units are made, it waits for space.
            log.warning("disk full, the job waits for space", job=live.id, again_in=RETRY_WRITE)
            await asyncio.sleep(RETRY_WRITE)
            live.run = jobs.new_run(live, live.run.plan)
            for index in live.run.missing():
                jobs.again(live, index)


async def resume(jobs: Jobs, job: Job) -> None:
    """Puts a stored, queued job into the schedule again. It was admitted once and is not refused now."""
    kind = jobs.kinds[job.type]
    request = kind.parse(job.request)
    hosted = jobs.models.hosted.get(request.model or "") or jobs.models.best(job.type)
    if hosted is None or hosted.can is None:
        log.warning("a job waits for a model that is not served", job=job.id, model=request.model)
        return
    try:
        plan = await kind.plan(request, hosted)
    except errors.AntiphonError as e:
        # What was valid is not any more, such as a voice that is gone.
        await _fail_unstarted(jobs, job.id, e)
        return
    live = intake.new_live(job.owner, hosted, plan, durable=True)
    live.id, live.created_at, live.attempts = job.id, job.created_at, job.attempt
    missing = jobs.new_run(live, plan).missing()
    costs = intake.costs(hosted, plan, missing)
    jobs.intake.readmit(live, plan, costs)
    # Its age goes on counting, or a queue that restarts often would be one that never ends.
    live.arrived = time.monotonic() - max(0.0, time.time() - live.created_at)
    jobs.take_in(live, missing, costs)
