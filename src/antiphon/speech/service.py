"""Speech service: speaks texts for waiting requests, and streams durable jobs while they are computed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any

from antiphon.cache import Cache
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.request import SpeechRequest
from antiphon.domain.unit import Unit, Wish
from antiphon.files.store import FileStore
from antiphon.jobs.service import JobService
from antiphon.jobs.waiting import WaitingJobs
from antiphon.models.served import ServedModel
from antiphon.speech import listen
from antiphon.speech.planner import SpeechPlanner
from antiphon.speech.response import SpeechResponse

#: In place of a job's id.
PHONEMES = "phonemes"


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

    async def reading(self, request: SpeechRequest, owner: str, *, phonemes: bool = False) -> dict[str, Any]:
        """What would be said for a request, without saying it: `language`, `model`, `segments` (`text`, `reading` and
        perhaps `phonemes`) and `warnings`. Raises `InvalidRequest` and its subclasses, `ModelLoading`,
        `ModelUnavailable`, and `Busy` where the model has no time for phonemes."""
        served, plan = await self._planner.prepare(request, owner)
        pairs = zip(plan.segments, plan.spoken, strict=True)
        segments = [{"text": segment.text.strip(), "reading": spoken.text} for segment, spoken in pairs]
        if phonemes:
            if not plan.capabilities.spells:
                raise errors.InvalidRequest(f"{plan.model} does not tell how it says a text", param="phonemes")
            for index, segment in enumerate(segments):
                segment["phonemes"] = await _phonemes(served, plan.unit(PHONEMES, index))
        return {
            "language": plan.voicings[0].language, "model": plan.model, "segments": segments,
            "warnings": list(plan.warnings),
        }  # fmt: skip

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


async def _phonemes(served: ServedModel, unit: Unit) -> str:
    """How the model says a unit. It takes milliseconds and does not wait in line: without a free slot it is refused."""
    if not served.pool.reserve():
        raise errors.Busy(f"All workers of {served.name} are busy or asleep; ask again", retry_after=2.0)
    result = await served.pool.run(replace(unit, wish=Wish(spelled=True)))
    return result.payload.decode("utf-8")
