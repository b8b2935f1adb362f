"""Speech response: the answer to a waiting request: whole, as a file, or streamed while it is computed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, replace
from typing import Any

from antiphon.audio import codec
from antiphon.cache import Cache, Entry
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.job import Result
from antiphon.files import atomic
from antiphon.files.store import FileStore
from antiphon.jobs.run import JobRun
from antiphon.jobs.waiting import WaitingJob
from antiphon.speech import render
from antiphon.speech.plan import SpeechPlan

#: Most bytes of a whole answer that is cached; longer answers are joined again from their segments.
MAX_CACHED = 1024 * 1024
#: The digest of an answer without a file: no client can fetch it again, so it is not hashed.
NO_FILE = ""
#: Bytes passed on at a time, so that a slow reader holds little audio in memory.
SLICE = 64 * 1024


@dataclass(slots=True)
class SpeechResponse:
    """The answer to one waiting request. Read it once, by `whole`, `file` or `stream`, and `close` it in any case: that
    frees its place in the queue if the client disconnects before the end."""

    job: WaitingJob
    plan: SpeechPlan
    cache: Cache
    threads: Threads
    files: FileStore
    #: Set once the answer is complete.
    result: Result | None = None

    @property
    def id(self) -> str:
        return self.job.id

    @property
    def cache_status(self) -> str:
        """How much of the answer came from the cache: hit, miss or partial."""
        return self.job.cache_status

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the model cannot do, and what it left out so far."""
        return self.job.active.warnings

    @property
    def run(self) -> JobRun:
        return self.job.run

    async def whole(self) -> bytes:
        """The complete encoded audio; its header has the true length. Raises what ended the job."""
        with self._failing():
            data, self.result = await self._whole()
        self.job.succeed(self.result)
        return data

    async def file(self) -> Result:
        """Writes the audio to a file in the output directory. Raises what ended the job, `StorageFull`."""
        with self._failing():
            data, result = await self._whole()
            name = f"speech_{self.id}{codec.EXTENSIONS[self.plan.request.format]}"
            try:
                digest = await self.threads.run(atomic.write, self.files.output, name, data)
            except OSError as e:
                raise errors.StorageFull(f"cannot write the audio: {e.strerror}", retry_after=10.0) from e
        self.result = replace(result, name=name, digest=digest)
        await self.files.publish_soon(self.result)
        self.job.succeed(self.result)
        return self.result

    async def stream(self) -> AsyncGenerator[bytes]:
        """Encoded audio, each part as soon as there is one. Raises what ended the job."""
        if not self.run.missing() and (self.run.total == 1 or self.cache.contains(self._key())):
            for part in _slices(await self.whole()):
                yield part
            return
        parts: list[bytes] = []
        size = 0
        # The header of a streamed WAV has no true length, so `whole` must not return it from the cache.
        cacheable = self.run.writes_cache and self.plan.request.format not in ("wav", "flac")
        timeline = render.Timeline()
        with self._failing():
            async with contextlib.aclosing(render.stream(self.run, self.plan, self.threads, timeline)) as encoded:
                async for data in encoded:
                    self.job.active.heard = timeline.seconds
                    size += len(data)
                    if cacheable and size <= MAX_CACHED:
                        parts.append(data)
                    else:
                        parts.clear()
                    for part in _slices(data):
                        yield part
        self.result = self._result(size, timeline)
        if cacheable and size <= MAX_CACHED:
            self._put_in_cache(b"".join(parts), self.result)
        self.job.succeed(self.result)

    def close(self) -> None:
        """Cancels the job unless it has ended, which frees its place in the queue."""
        self.job.cancel()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Fails the job with an `AntiphonError` that leaves the block."""
        try:
            yield
        except errors.AntiphonError as e:
            self.job.fail(e)
            raise

    def _result(self, size: int, timeline: render.Timeline) -> Result:
        return Result("", self.plan.media_type, size, timeline.seconds, NO_FILE, tuple(timeline.segments))

    async def _whole(self) -> tuple[bytes, Result]:
        if (cached := await self._cached()) is not None:
            meta = cached.meta
            size, segments = len(cached.payload), tuple(meta["segments"])
            return cached.payload, Result("", meta["media_type"], size, meta["duration"], NO_FILE, segments)
        timeline = render.Timeline()
        audio: list[bytes] = []
        async for piece in render.pieces(self.run, self.plan, self.threads):
            timeline.add(self.run, self.plan, piece)
            audio.append(render.padded(piece))
        request = self.plan.request
        data = await render.encode(b"".join(audio), timeline.rate, request.format, request.sample_rate, self.threads)
        result = self._result(len(data), timeline)
        # A WAV file is not cached: joining its segments again is cheaper than a second copy on disk.
        if len(data) <= MAX_CACHED and self.plan.request.format != "wav":
            self._put_in_cache(data, result)
        return data, result

    async def _cached(self) -> Entry | None:
        """The whole answer from the cache, if it is there and all its segments are."""
        if self.run.missing():
            return None
        key = self._key()
        if (entry := self.cache.get_in_memory(key)) is None and self.cache.contains(key):
            return await self.cache.get(key)
        return entry

    def _key(self) -> str:
        """The key of the whole encoded answer."""
        return self.run.cache_key(self.plan.result_key())

    def _put_in_cache(self, data: bytes, result: Result) -> None:
        segments = [dict(s) for s in result.segments]
        meta: dict[str, Any] = {"media_type": result.media_type, "duration": result.duration, "segments": segments}
        # What a model cannot say today may be said by its next version, so an answer with gaps is joined each time.
        if self.run.writes_cache and not self.run.skipped:
            self.cache.put_soon(self._key(), data, meta)


def _slices(data: bytes) -> Iterator[bytes]:
    for start in range(0, max(1, len(data)), SLICE):
        yield data[start : start + SLICE]
