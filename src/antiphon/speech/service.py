"""Speech service: speaks texts for waiting requests, and streams durable jobs while they are computed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from antiphon.cache import Cache
from antiphon.concurrency.threads import Threads
from antiphon.domain.request import SpeechRequest
from antiphon.files.store import FileStore
from antiphon.jobs.service import JobService
from antiphon.jobs.waiting import WaitingJobs
from antiphon.speech import listen
from antiphon.speech.plan import SpeechPlan
from antiphon.speech.planner import SpeechPlanner
from antiphon.speech.response import SpeechResponse


@dataclass(eq=False)
class SpeechService:
    """Used in one event loop."""

    _jobs: JobService
    _waiting: WaitingJobs
    _planner: SpeechPlanner
    _cache: Cache
    _files: FileStore
    _threads: Threads

    @property
    def text_threads(self) -> Threads:
        """The threads in which texts are read."""
        return self._planner.threads

    async def plan(self, request: SpeechRequest, owner: str) -> SpeechPlan:
        """What would be said for a request, without saying it. Raises `InvalidRequest` and its subclasses,
        `ModelLoading` and `ModelUnavailable`."""
        _, plan = await self._planner.prepare(request, owner)
        return plan

    async def speak(
        self,
        request: SpeechRequest,
        owner: str,
        *,
        streamed: bool = False,
        read_cache: bool = True,
        write_cache: bool = True,
        trusted: bool = False,
    ) -> SpeechResponse:
        """Accepts a waiting request. Its audio is computed while the response is read; `close` that in any case.
        `streamed`: somebody listens while it is computed, so its first segment is cut short. `trusted` says that this
        server has checked and stored the request before. Raises `InvalidRequest` and its subclasses for what can never
        work, `Busy` and its subclasses with a true `retry_after`."""
        lifecycle = self._jobs.lifecycle
        lifecycle.check_open()
        granted = lifecycle.admission.grant(request, owner)
        served, plan = await self._planner.prepare(granted, owner, quick_first=streamed, trusted=trusted)
        job = self._waiting.begin(served, plan, owner, read_cache=read_cache, write_cache=write_cache, live=True)
        return SpeechResponse(job, plan, self._cache, self._threads, self._files)

    async def follow(self, job_id: str, owner: str | None = None) -> AsyncGenerator[bytes]:
        """The encoded audio of an unfinished durable job, from its beginning, as its segments finish. Raises
        `NotFound`, what ended the job, and `NotStreamable` for a job that cannot be streamed now."""
        job = await self._jobs.stored(job_id, owner)
        if job.type != SpeechRequest.type:
            raise listen.NotStreamable("Only speech is sent while it is made; ask again when the job is done")
        async with contextlib.aclosing(listen.stream(self._jobs, job_id, self._threads)) as parts:
            async for data in parts:
                yield data
