"""Jobs: accept, watch, cancel, retry. What a surface calls, whatever protocol it speaks."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import structlog

from antiphon.audio import codec
from antiphon.bus import Bus
from antiphon.cache import Cache
from antiphon.domain import errors, request as requests
from antiphon.domain.engine import Capabilities
from antiphon.domain.job import Failure, Job, Priority, Result, State, Units
from antiphon.domain.request import SpeechRequest
from antiphon.schedule.admission import Admission
from antiphon.schedule.queue import Ticket
from antiphon.service import ids, join, plan as plans
from antiphon.service.live import Live
from antiphon.service.models import Hosted, Models
from antiphon.service.pipeline import Run, Shelf
from antiphon.service.plan import Plan
from antiphon.service.speech import Speech
from antiphon.service.threads import Threads
from antiphon.store.base import Idempotency, JobStore
from antiphon.text import language as languages
from antiphon.text.normalise import clean

log = structlog.get_logger("antiphon.jobs")

#: Characters up to which a text is cleaned and split on the event loop.
INLINE_TEXT = 4000
#: Seconds between tries to write a result while the disk is full.
RETRY_WRITE = 2.0


class Jobs:
    """Everything that is not final is in `live`; everything durable is in the store as well."""

    def __init__(
        self,
        models: Models,
        store: JobStore,
        cache: Cache,
        bus: Bus,
        admission: Admission,
        threads: Threads,
        output: Path,
    ) -> None:
        self.models, self.store, self.bus = models, store, bus
        self.threads, self.output = threads, output
        self._admission = admission
        self._shelf = Shelf(cache, {})
        self.live: dict[str, Live] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.draining = False

    # Accept

    async def speak(
        self,
        request: SpeechRequest,
        owner: str,
        *,
        streamed: bool = False,
        read_cache: bool = True,
        write_cache: bool = True,
    ) -> Speech:
        """Takes a request whose caller waits. The answer's audio is made while it is read; `close` it in any case.

        Raises `InvalidRequest` and its kin for what can never work, `Busy` and its kin with a true `retry_after`.
        """
        self._open()
        request, hosted = await self._prepare(request)
        plan = await self._plan(request, hosted, quick_first=streamed)
        live = self._new(owner, request, hosted, plan, durable=False)
        run = live.run = self._run(live, plan, read_cache=read_cache, write_cache=write_cache)
        live.units = Units(run.total, run.done_units, run.cached)
        speech = Speech(live, run, plan, self._shelf.cache, self.threads, self.output, self._release)
        missing = run.missing()
        if missing:
            costs = self._costs(hosted, plan, missing)
            self._admit(live, costs)
            live.on_start = self._started
            self._enqueue(live, missing, costs)
        else:
            live.started_at = time.time()
        self.live[live.id] = live
        return speech

    async def submit(
        self, request: SpeechRequest, owner: str, idempotency: Idempotency | None = None
    ) -> tuple[dict[str, Any], bool]:
        """Takes a durable job: it is on disk when this returns. The second value is False for a repeated key."""
        self._open()
        request, hosted = await self._prepare(request)
        plan = await self._plan(request, hosted)
        live = self._new(owner, request, hosted, plan, durable=True)
        keys = self._run(live, plan)
        missing = keys.missing()
        costs = self._costs(hosted, plan, missing)
        self._admit(live, costs)
        # The model that was chosen is kept, so that a restart goes on with the same one.
        kept = {**request.to_json(), "model": hosted.name}
        job = Job(live.id, "speech", State.QUEUED, owner, request.priority, kept, live.created_at, units=live.units)
        try:
            stored, new = await self.store.add(job, idempotency=idempotency)
        except BaseException:
            self._give_back(live)
            raise
        if not new:
            self._give_back(live)
            return self.describe_stored(stored), False
        live.load = self._load
        self._take_in(live, missing, costs)
        return self.describe(live), True

    def _take_in(self, live: Live, missing: list[int], costs: list[float]) -> None:
        """From here on a durable job is worked on."""
        live.on_start = self._started
        self.live[live.id] = live
        self.tell(live, "job.queued")
        if missing:
            self._enqueue(live, missing, costs)
        else:
            self._spawn(self._start_cached(live), f"job {live.id}")

    async def _start_cached(self, live: Live) -> None:
        """A job that needs no slot: everything it asks for was made before."""
        await self._load(live)
        if live.id in self.live:
            self._started(live)

    def _open(self) -> None:
        if self.draining:
            raise errors.Draining(retry_after=5.0)

    async def _prepare(self, request: SpeechRequest) -> tuple[SpeechRequest, Hosted]:
        text = clean(request.text) if len(request.text) <= INLINE_TEXT else await self.threads.run(clean, request.text)
        requests.check_text(text, requests.MAX_TEXT)
        language = request.language or languages.detect(text)
        hosted = self.models.choose(request.model, language.lower().partition("-")[0])
        return request.with_text(text), hosted

    async def _plan(self, request: SpeechRequest, hosted: Hosted, *, quick_first: bool = False) -> Plan:
        assert hosted.can is not None
        if len(request.text) <= INLINE_TEXT:
            return plans.make(request, hosted.name, hosted.can, quick_first=quick_first)
        return await self.threads.run(_plan_quick_first if quick_first else plans.make, request, hosted.name, hosted.can)

    def _new(self, owner: str, request: SpeechRequest, hosted: Hosted, plan: Plan, *, durable: bool) -> Live:
        return Live(
            id=ids.new_id(),
            owner=owner,
            priority=request.priority,
            durable=durable,
            created_at=time.time(),
            hosted=hosted,
            units=Units(len(plan.segments)),
            nbytes=len(request.text.encode("utf-8")),
            warnings=plan.warnings,
        )

    def _run(self, live: Live, plan: Plan, *, read_cache: bool = True, write_cache: bool = True) -> Run:
        return Run(
            live.id,
            plan,
            self._shelf,
            read_cache=read_cache,
            write_cache=write_cache,
            on_unit=lambda index, cached: self._unit_done(live, index, cached),
            on_failure=lambda error: self._withdraw(live),
            again=lambda index: self._again(live, index),
        )

    @staticmethod
    def _costs(hosted: Hosted, plan: Plan, missing: list[int]) -> list[float]:
        predict = hosted.dispatcher.cost.predict
        return [predict(plan.length(i)) for i in missing]

    def _admit(self, live: Live, costs: list[float]) -> None:
        live.seconds = sum(costs)
        slots = max(1, live.hosted.pool.slots)
        self._admission.take(live.owner, live.seconds, live.nbytes, slots=slots)

    def _give_back(self, live: Live) -> None:
        self._admission.give_back(live.owner, live.seconds, live.nbytes)
        live.seconds, live.nbytes = 0.0, 0

    def _enqueue(self, live: Live, missing: list[int], costs: list[float]) -> None:
        live.ticket = Ticket(
            job=live.id,
            client=live.owner,
            priority=live.priority,
            costs=costs,
            indices=None if len(missing) == live.units.total else missing,
            payload=live,
        )
        live.hosted.dispatcher.submit(live.ticket)

    def _again(self, live: Live, index: int) -> None:
        if live.ticket is not None and live.id in self.live:
            live.hosted.dispatcher.again(live.ticket, index)
        elif live.id in self.live and live.run is not None:
            self._enqueue(live, [index], self._costs(live.hosted, live.run.plan, [index]))

    # What happens to a job

    def _started(self, live: Live) -> None:
        live.started_at = time.time()
        if live.durable:
            live.fence = asyncio.ensure_future(self.store.start(live.id))
            live.task = self._spawn(self._carry(live), f"job {live.id}")
        self.tell(live, "job.started")

    def _unit_done(self, live: Live, index: int, cached: bool) -> None:
        run = live.run
        assert run is not None
        live.units = Units(run.total, run.done_units, run.cached)
        if live.id not in self.live:
            return
        self.tell(live, "unit.done", {"index": index, "cached": cached})
        if live.durable and live.fence is not None and live.fence.done() and live.units.total > 1:
            fence = live.fence.result()
            if fence is not None:
                self._spawn(self.store.progress(live.id, fence, live.units), f"progress {live.id}")

    async def _load(self, live: Live) -> None:
        """Reads a durable job's text again and plans it; the same request gives the same units."""
        job = await self.store.get(live.id)
        if job is None:
            raise errors.NotFound(f"job {live.id} is gone from the store")
        plan = await self._plan(SpeechRequest.from_json(job.request), live.hosted)
        live.run = self._run(live, plan)
        live.units = Units(live.run.total, live.run.done_units, live.run.cached)

    async def _carry(self, live: Live) -> None:
        """A durable job from its first unit to its end in the store."""
        assert live.run is not None
        assert live.fence is not None
        fence = await live.fence
        if fence is None:
            self._drop(live)
            return
        result: Result | None = None
        failure: Failure | None = None
        try:
            result = await self._write(live)
        except errors.Cancelled:
            return
        except errors.AntiphonError as e:
            failure = Failure(e.code, e.message)
        except Exception as e:
            log.exception("a job failed inside the server", job=live.id)
            failure = Failure("internal_error", f"{type(e).__name__}: {e}")
        state = State.SUCCEEDED if result else State.FAILED
        ours = await self.store.finish(live.id, fence, state, result=result, error=failure, units=live.units)
        self._drop(live)
        if ours:
            self.tell(live, "job.succeeded" if result else "job.failed", _ending(result, failure))

    async def _write(self, live: Live) -> Result:
        assert live.run is not None
        name = f"speech_{live.id}{codec.EXTENSIONS[live.run.plan.request.format]}"
        while True:
            try:
                return await join.write(live.run, self.output / name, self.threads)
            except OSError as e:
                if e.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                # Accepted work is not lost to a full disk: its units are made, it waits for space.
                log.warning("disk full, the job waits for space", job=live.id, again_in=RETRY_WRITE)
                await asyncio.sleep(RETRY_WRITE)
                live.run = self._run(live, live.run.plan)
                for index in live.run.missing():
                    self._again(live, index)

    def _release(self, live: Live, state: State, result: Result | None, failure: Failure | None) -> None:
        """The end of a request whose caller waited: it is taken out and recorded."""
        if live.id not in self.live:
            return
        self._withdraw(live)
        self._drop(live)
        now = time.time()
        job = Job(
            live.id, "speech", state, live.owner, live.priority, _brief(live), live.created_at,
            started_at=live.started_at or now, finished_at=now, units=live.units, result=result, error=failure, attempt=1,
        )  # fmt: skip
        self._spawn(self.store.record(job), f"record {live.id}")
        type_ = {State.SUCCEEDED: "job.succeeded", State.FAILED: "job.failed"}.get(state, "job.cancelled")
        self.tell(live, type_, _ending(result, failure))

    def _withdraw(self, live: Live) -> None:
        if live.ticket is not None:
            run = live.run
            live.hosted.dispatcher.withdraw(live.ticket, run.wanted_by_others if run else lambda _: False)
        if live.run is not None:
            live.run.stop(errors.Cancelled())

    def _drop(self, live: Live) -> None:
        self.live.pop(live.id, None)
        self._give_back(live)

    # Watch

    def describe(self, live: Live) -> dict[str, Any]:
        """A live job as the API shows it, with its place in line."""
        position, eta = self.place(live)
        return {
            "id": live.id,
            "object": "job",
            "type": "speech",
            "status": str(live.state),
            "created_at": live.created_at,
            "started_at": live.started_at,
            "finished_at": None,
            "progress": live.progress,
            "units": {"total": live.units.total, "done": live.units.done, "cached": live.units.cached},
            "position": position,
            "eta": eta,
            "result": None,
            "error": None,
            "attempts": int(live.started_at is not None),
            "warnings": list(live.warnings),
        }

    def describe_stored(self, job: Job) -> dict[str, Any]:
        """A job of the store as the API shows it; a live one with what only the memory knows."""
        live = self.live.get(job.id)
        if live is not None and not job.state.final:
            return {**self.describe(live), "attempts": max(job.attempt, int(live.started_at is not None))}
        result = job.result
        return {
            "id": job.id,
            "object": "job",
            "type": job.type,
            "status": str(job.state),
            "created_at": job.created_at,
            "started_at": job.started_at,
            "finished_at": job.finished_at,
            "progress": job.progress,
            "units": {"total": job.units.total, "done": job.units.done, "cached": job.units.cached},
            "position": None,
            "eta": None,
            "result": result and describe_result(result),
            "error": job.error and {"code": job.error.code, "message": job.error.message},
            "attempts": job.attempt,
            "warnings": [],
        }

    def place(self, live: Live) -> tuple[int, float]:
        """Position (1: next; 0: running) and predicted seconds until the end."""
        dispatcher = live.hosted.dispatcher
        if live.ticket is None:
            return 0, 0.0
        eta = round(dispatcher.eta(live.ticket), 3)
        return (0 if live.started_at else dispatcher.position(live.ticket)), eta

    async def get(self, job_id: str, owner: str | None = None) -> dict[str, Any]:
        """Raises `NotFound` for an unknown id and for somebody else's."""
        live = self.live.get(job_id)
        if live is not None and (owner is None or live.owner == owner):
            return self.describe(live)
        job = await self.store.get(job_id, owner) if ids.is_id(job_id) else None
        if job is None:
            raise errors.NotFound(f"There is no job {job_id[:40]!r}")
        return self.describe_stored(job)

    async def stored(self, job_id: str, owner: str | None = None) -> Job:
        job = await self.store.get(job_id, owner) if ids.is_id(job_id) else None
        if job is None:
            raise errors.NotFound(f"There is no job {job_id[:40]!r}")
        return job

    async def list(
        self, owner: str | None = None, states: tuple[State, ...] | None = None, after: str | None = None, limit: int = 50
    ) -> list[dict[str, Any]]:
        found = await self.store.list(owner=owner, states=states, after=after, limit=limit)
        return [self.describe_stored(job) for job in found]

    async def follow(self, job_id: str, owner: str | None = None) -> AsyncIterator[bytes]:
        """The encoded audio of a running durable job, from its beginning, as its segments finish."""
        job = await self.stored(job_id, owner)
        request = SpeechRequest.from_json(job.request)
        speech = await self.speak(request, job.owner, streamed=False)
        try:
            async for data in speech.stream():
                yield data
        finally:
            speech.close()

    def tell(self, live: Live, type_: Any, extra: Mapping[str, Any] | None = None) -> None:
        data = {"status": str(live.state), "progress": round(live.progress, 4), **(extra or {})}
        data["units"] = {"total": live.units.total, "done": live.units.done, "cached": live.units.cached}
        if live.id in self.live:
            data["position"], data["eta"] = self.place(live)
        self.bus.publish(type_, live.id, live.owner, data)

    # Cancel, retry

    async def cancel(self, job_id: str, owner: str | None = None) -> dict[str, Any]:
        """Ends a job wherever it is. A final job stays as it is. Raises `NotFound`."""
        live = self.live.get(job_id)
        if live is not None and not live.durable and (owner is None or live.owner == owner):
            self._release(live, State.CANCELLED, None, None)
            return await self.get(job_id, owner)
        job = await self.store.cancel(job_id, owner) if ids.is_id(job_id) else None
        if job is None:
            raise errors.NotFound(f"There is no job {job_id[:40]!r}")
        if live is not None and job.state is State.CANCELLED:
            self._withdraw(live)
            self._drop(live)
            self.tell(live, "job.cancelled", {"status": "cancelled"})
        return self.describe_stored(job)

    async def retry(self, job_id: str, owner: str | None = None) -> dict[str, Any]:
        """Queues a failed or cancelled job again; finished segments are cache hits. Raises `NotFound`, `Conflict`."""
        if not ids.is_id(job_id):
            raise errors.NotFound(f"There is no job {job_id[:40]!r}")
        self._open()
        job = await self.store.retry(job_id, owner)
        await self.resume(job)
        return await self.get(job_id, owner)

    # After a restart

    async def resume(self, job: Job) -> None:
        """Puts a stored, queued job into the schedule again. It was admitted once and is not refused now."""
        request = SpeechRequest.from_json(job.request)
        hosted = self.models.hosted.get(request.model or "") or self.models.best()
        if hosted is None or hosted.can is None:
            log.warning("a job waits for a model that is not served", job=job.id, model=request.model)
            return
        try:
            plan = await self._plan(request, hosted)
        except errors.AntiphonError as e:
            fence = await self.store.start(job.id)
            if fence is not None:
                await self.store.finish(job.id, fence, State.FAILED, error=Failure(e.code, e.message))
            return
        live = self._new(job.owner, request, hosted, plan, durable=True)
        live.id, live.created_at, live.priority = job.id, job.created_at, job.priority
        missing = self._run(live, plan).missing()
        costs = self._costs(hosted, plan, missing)
        live.seconds = sum(costs)
        self._admission.force(live.owner, live.seconds, live.nbytes)
        live.load = self._load
        self._take_in(live, missing, costs)

    # Drain

    async def drain(self, seconds: float) -> None:
        """Takes nothing new; what runs gets `seconds` to end, then goes back to the queue without losing an attempt."""
        self.draining = True
        deadline = time.monotonic() + seconds
        while self.live and (left := deadline - time.monotonic()) > 0:
            tasks = [live.task for live in self.live.values() if live.task is not None]
            waiting = any(not live.durable for live in self.live.values())
            if not tasks and not waiting:
                break
            if tasks:
                await asyncio.wait(tasks, timeout=min(left, 0.2), return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(min(left, 0.05))
        for live in tuple(self.live.values()):
            await self._put_away(live)

    async def _put_away(self, live: Live) -> None:
        if live.task is not None:
            live.task.cancel()
        self._withdraw(live)
        self._drop(live)
        if live.durable and live.fence is not None:
            fence = await live.fence
            if fence is not None:
                await self.store.release(live.id, fence, spend=False)

    async def close(self) -> None:
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=5)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, coroutine: Awaitable[Any], name: str) -> asyncio.Task[Any]:
        assert isinstance(coroutine, Coroutine)
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._watch)
        return task

    def _watch(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of the job service failed", task=task.get_name(), error=repr(error), exc_info=error)


def _plan_quick_first(request: SpeechRequest, model: str, can: Capabilities) -> Plan:
    return plans.make(request, model, can, quick_first=True)


def describe_result(result: Result) -> dict[str, Any]:
    return {
        "path": f"/output/{result.name}" if result.name else None,
        "media_type": result.media_type,
        "bytes": result.bytes,
        "duration": round(result.duration, 3),
    }


def _ending(result: Result | None, failure: Failure | None) -> dict[str, Any]:
    """What the last event of a job says besides its progress."""
    return {
        "status": "succeeded" if result else "failed" if failure else "cancelled",
        "progress": 1.0 if result else 0.0,
        "result": result and describe_result(result),
        "error": failure and {"code": failure.code, "message": failure.message},
    }


def _brief(live: Live) -> dict[str, Any]:
    """What is kept of a request whose caller waited: not its text, which nobody will speak again."""
    request = live.run.plan.request if live.run else None
    return {"text": "", "model": live.hosted.name, "format": request.format if request else "wav"}
