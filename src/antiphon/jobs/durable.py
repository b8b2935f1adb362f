"""Durable jobs: from the first unit to the end in the store, and back into the queue after a restart."""

from __future__ import annotations

import asyncio
import errno
import time
from dataclasses import replace
from functools import partial

import structlog

from antiphon.concurrency.tasks import log_and_wait, retry_until
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.event import FINAL_EVENT_OF
from antiphon.domain.job import Failure, Job, Result, State
from antiphon.files.store import FileStore
from antiphon.jobs import views
from antiphon.jobs.active import ActiveJob, new_active_job
from antiphon.jobs.admission import predicted_costs
from antiphon.jobs.kind import Kinds
from antiphon.jobs.lifecycle import JobLifecycle
from antiphon.jobs.run import JobRun
from antiphon.models.served import ServedModel
from antiphon.store.base import JobStore

log = structlog.get_logger("antiphon.jobs")

#: Seconds between tries while the disk is full, or the store or the storage is away.
RETRY = 2.0


class DurableRunner:
    """Runs durable jobs: their state in the store is changed here. Used in one event loop."""

    def __init__(
        self, lifecycle: JobLifecycle, store: JobStore, files: FileStore, threads: Threads, kinds: Kinds
    ) -> None:
        self._lifecycle, self._store, self._files, self._threads = lifecycle, store, files, threads
        self._kinds = kinds

    # Into the queue

    def enter(self, job: ActiveJob, run: JobRun, missing: list[int], costs: list[float]) -> None:
        """From now on a stored job is worked on. The run is kept where the job may start at once; else it is made again
        when a slot is free, so that a long queue holds no texts."""
        job.load, job.on_start, job.on_unit = self._load, self._start, self._store_progress
        if not missing and job.orders.paused_at is not None:
            # The cache has all of it by now, but a paused job waits until it is resumed.
            missing = [run.total - 1]
            costs = predicted_costs(job.served, run.plan, missing)
        if not missing or _is_idle(job.served):
            job.run = run
            job.count_units()
        self._lifecycle.enter(job, missing, costs)
        if not missing:
            self._lifecycle.tasks.spawn(self._start_cached(job), f"job {job.id}")

    async def resume(self, job: Job) -> None:
        """Queues a stored job again. It was admitted once and is not refused now."""
        if (served := self._model_of(job)) is None:
            log.info("a job waits for a model that has not started", job=job.id, model=job.request.get("model"))
            self._lifecycle.tasks.spawn(self._resume_when_served(job), f"wait for the model of {job.id}", idle=True)
            return
        kind = self._kinds[job.type]
        try:
            plan = await kind.plan(kind.parse(job.request), served)
        except errors.StorageDown as e:
            self._resume_later(job.id, e)
            return
        except errors.AntiphonError as e:
            # What was valid is not any more, such as a voice that was deleted.
            await self._fail_unstarted(job.id, e)
            return
        if job.id in self._lifecycle.active:
            # It was resumed while this call planned it: it waited for its model, and was retried too.
            return
        active = new_active_job(job.owner, served, plan, durable=True, waiting=False)
        active.id, active.created_at, active.attempts = job.id, job.created_at, job.attempt
        active.obey(job.orders)
        run = self._lifecycle.new_run(active, plan)
        missing = run.missing()
        costs = predicted_costs(served, plan, missing)
        self._lifecycle.admission.readmit(active, plan, costs)
        # Its age goes on counting, or a queue that restarts often would be one that never ends.
        active.arrived = time.monotonic() - max(0.0, time.time() - active.created_at)
        self.enter(active, run, missing, costs)

    async def take_up(self, job_id: str) -> None:
        """Resumes a job that is queued in the store, unless it is active already. A store that is away is waited for,
        since no other server will take the job up."""

        async def attempt() -> None:
            job = await self._store.get(job_id)
            known = job_id in self._lifecycle.active or self._lifecycle.draining
            if job is not None and job.state is State.QUEUED and not known:
                await self.resume(job)

        waits = log_and_wait(log, "a job waits for the store", job=job_id, again_in=RETRY)
        await retry_until(attempt, errors.StoreAway, RETRY, waits)

    async def announce_end(self, job_id: str) -> None:
        """Tells listeners and the webhook of a final job that is not active here."""
        if (job := await self._store.get(job_id)) is not None and job.state.final:
            self._lifecycle.announce_end(job)

    def _model_of(self, job: Job) -> ServedModel | None:
        return self._lifecycle.models.selector.for_stored_job(str(job.request.get("model") or ""), job.type)

    async def _resume_when_served(self, job: Job) -> None:
        await self._lifecycle.models.until(lambda: self._model_of(job) is not None)
        await self.take_up(job.id)

    def _resume_later(self, job_id: str, error: errors.StorageDown) -> None:
        async def later() -> None:
            await asyncio.sleep(RETRY)
            await self.take_up(job_id)

        log.warning("a job waits for a recording", job=job_id, error=error.message, again_in=RETRY)
        self._lifecycle.tasks.spawn(later(), f"take up {job_id}", idle=True)

    # Start

    async def _load(self, active: ActiveJob) -> None:
        """Reads the job's text again and plans it; the same request gives the same units. Raises `Cancelled` after it
        has taken out a job that can no longer be run."""
        job = await self._store.get(active.id)
        try:
            if job is None:
                raise errors.NotFound(f"job {active.id} is gone from the store")
            kind = self._kinds[job.type]
            plan = await kind.plan(kind.parse(job.request), active.served)
        except errors.StorageDown as e:
            # A slot is not kept waiting: the job is taken up again when its recording can be had.
            self._lifecycle.drop(active)
            self._resume_later(active.id, e)
            raise errors.Cancelled from e
        except errors.AntiphonError as e:
            self._lifecycle.drop(active)
            await self._fail_unstarted(active.id, e)
            raise errors.Cancelled from e
        active.run = self._lifecycle.new_run(active, plan)
        active.count_units()

    def _start(self, active: ActiveJob) -> None:
        active.fence = asyncio.ensure_future(self._store_start(active.id))
        active.task = self._lifecycle.tasks.spawn(self._carry(active), f"job {active.id}")
        self._lifecycle.begin(active)

    async def _store_start(self, job_id: str) -> int | None:
        """The fence of this attempt. It waits for space on a full disk: accepted work is not lost to that."""
        waits = log_and_wait(log, "disk full, the job's start waits for space", job=job_id, again_in=RETRY)
        return await retry_until(lambda: self._store.start(job_id), errors.StorageFull, RETRY, waits)

    async def _start_cached(self, active: ActiveJob) -> None:
        """Starts a job that needs no slot: everything it asks for is in the cache."""
        if active.id in self._lifecycle.active:
            self._start(active)

    def _store_progress(self, active: ActiveJob) -> None:
        if active.units.total > 1 and active.fence is not None and active.fence.done():
            fence = active.fence.result()
            if fence is not None:
                update = self._store.progress(active.id, fence, active.units)
                self._lifecycle.tasks.spawn(update, f"progress {active.id}")

    async def _fail_unstarted(self, job_id: str, error: errors.AntiphonError) -> None:
        fence = await self._store_start(job_id)
        failure = Failure.of(error)
        if fence is not None and await self._store.finish(job_id, fence, State.FAILED, error=failure):
            await self.announce_end(job_id)

    # End

    async def _carry(self, active: ActiveJob) -> None:
        """Joins the job's units into its file and ends the job in the store, by the fence of this attempt."""
        assert active.fence is not None
        # The store goes on with the start when this task is cancelled: a drain still needs the fence.
        fence = await asyncio.shield(active.fence)
        if fence is None:
            # It was cancelled between its queueing and its start.
            self._lifecycle.forget(active)
            return
        result, failure = await self._outcome(active)
        if result is None and failure is None:
            return
        state = State.SUCCEEDED if result else State.FAILED
        finish = partial(self._store.finish, active.id, fence, state, result=result, error=failure, units=active.units)
        waits = log_and_wait(log, "disk full, the job's end waits for space", job=active.id, again_in=RETRY)
        ours = await retry_until(finish, errors.StorageFull, RETRY, waits)
        self._lifecycle.forget(active)
        if ours:
            if result is not None:
                self._lifecycle.admission.count_audio(active, result)
            self._lifecycle.announce(active, FINAL_EVENT_OF[state], views.of_ending(active, result, failure))

    async def _outcome(self, active: ActiveJob) -> tuple[Result | None, Failure | None]:
        """The result, or why there is none; neither for a job that was cancelled."""
        try:
            result = replace(await self._write(active), warnings=active.warnings)
            # Before its end is announced: from then on every server must be able to give the file out.
            waits = log_and_wait(log, "the storage is down, the job's end waits", job=active.id, again_in=RETRY)
            await retry_until(lambda: self._files.publish(result), errors.StorageDown, RETRY, waits)
            return result, None
        except errors.Cancelled:
            return None, None
        except errors.AntiphonError as e:
            return None, Failure.of(e)
        except Exception as e:
            log.exception("a job failed inside the server", job=active.id)
            return None, Failure.of(errors.AntiphonError(f"{type(e).__name__}: {e}"))

    async def _write(self, active: ActiveJob) -> Result:
        """The job's file. It waits for space on a full disk: the units are made, and accepted work is not lost."""
        write = self._kinds[active.type].write
        while True:
            assert active.run is not None
            try:
                return await write(active.run, active.run.plan, self._files.output, self._threads)
            except OSError as e:
                if e.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
            log.warning("disk full, the job waits for space", job=active.id, again_in=RETRY)
            await asyncio.sleep(RETRY)
            active.run = self._lifecycle.new_run(active, active.run.plan)
            for index in active.run.missing():
                self._lifecycle.requeue_unit(active, index)


def _is_idle(served: ServedModel) -> bool:
    """Whether a unit that is queued now is due at once."""
    return not len(served.dispatcher.queue) and served.pool.free > 0
