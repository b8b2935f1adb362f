"""Speech response: the answer to a caller who waits, whole, as a file, or streamed while it is made."""

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

#: Bytes of a finished answer that are kept in the cache; longer ones are joined again from their segments.
KEEP_WHOLE = 1024 * 1024
#: The digest of what was answered and not filed: nobody can ask for it again, so it is not worth hashing.
NO_FILE = ""
#: Bytes that are handed on at a time: what is handed on cannot be taken back from a reader that is slow.
SLICE = 64 * 1024


@dataclass(slots=True)
class SpeechResponse:
    """One waiting request. Read it once, by `whole`, `file` or `stream`, and `close` it in any case: a reader that
    goes away before the end gives its place back at once."""

    job: WaitingJob
    plan: SpeechPlan
    cache: Cache
    threads: Threads
    files: FileStore
    #: Set once everything is made.
    result: Result | None = None

    @property
    def id(self) -> str:
        return self.job.id

    @property
    def cache_status(self) -> str:
        """How much of it the cache answered: hit, miss or partial."""
        return self.job.cache_status

    @property
    def run(self) -> JobRun:
        return self.job.run

    async def whole(self) -> bytes:
        """The complete encoded audio with true headers. Raises what ended the job."""
        with self._failing():
            data, self.result = await self._whole()
        self.job.succeed(self.result)
        return data

    async def file(self) -> Result:
        """The audio as a file in the output directory. Raises what ended the job, `StorageFull` if the disk is."""
        with self._failing():
            data, made = await self._whole()
            name = f"speech_{self.id}{codec.EXTENSIONS[self.plan.request.format]}"
            try:
                digest = await self.threads.run(atomic.write, self.files.output, name, data)
            except OSError as e:
                raise errors.StorageFull(f"cannot write the audio: {e.strerror}", retry_after=10.0) from e
        self.result = replace(made, name=name, digest=digest)
        await self.files.publish_soon(self.result)
        self.job.succeed(self.result)
        return self.result

    async def stream(self) -> AsyncGenerator[bytes]:
        """Encoded audio, each part as soon as its segment is done. Raises what ended the job."""
        if not self.run.missing() and (self.run.total == 1 or self.cache.contains(self.plan.result_key())):
            for part in _slices(await self.whole()):
                yield part
            return
        parts: list[bytes] = []
        size = 0
        # A streamed WAV has no true length in its header, so it is not what `whole` may answer with.
        keeps = self.run.writes_cache and self.plan.request.format not in ("wav", "flac")
        timeline = render.Timeline()
        with self._failing():
            async with contextlib.aclosing(render.stream(self.run, self.plan, self.threads, timeline)) as made:
                async for data in made:
                    size += len(data)
                    if keeps and size <= KEEP_WHOLE:
                        parts.append(data)
                    else:
                        parts.clear()
                    for part in _slices(data):
                        yield part
        self.result = self._result(size, timeline)
        if keeps and size <= KEEP_WHOLE:
            self._keep(b"".join(parts), self.result)
        self.job.succeed(self.result)

    def close(self) -> None:
        """Gives the place in the queue back if the end was not reached; after the end it does nothing."""
        self.job.cancel()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """An error of ours that leaves the block fails the job."""
        try:
            yield
        except errors.AntiphonError as e:
            self.job.fail(e)
            raise

    def _result(self, size: int, timeline: render.Timeline) -> Result:
        return Result("", self.plan.media_type, size, timeline.seconds, NO_FILE, tuple(timeline.segments))

    async def _whole(self) -> tuple[bytes, Result]:
        stored = await self._stored()
        if stored is not None:
            meta = stored.meta
            size, segments = len(stored.payload), tuple(meta["segments"])
            return stored.payload, Result("", meta["media_type"], size, meta["duration"], NO_FILE, segments)
        timeline = render.Timeline()
        audio: list[bytes] = []
        async for piece in render.pieces(self.run, self.plan, self.threads):
            timeline.add(self.plan, piece)
            audio.append(render.padded(piece))
        request = self.plan.request
        data = await render.encode(b"".join(audio), timeline.rate, request.format, request.sample_rate, self.threads)
        result = self._result(len(data), timeline)
        # A WAV is its segments behind a header: joining them again is cheaper than a second copy on disk.
        if len(data) <= KEEP_WHOLE and self.plan.request.format != "wav":
            self._keep(data, result)
        return data, result

    async def _stored(self) -> Entry | None:
        if self.run.missing():
            return None
        key = self.plan.result_key()
        hot = self.cache.get_in_memory(key)
        if hot is None and self.cache.contains(key):
            return await self.cache.get(key)
        return hot

    def _keep(self, data: bytes, result: Result) -> None:
        meta: dict[str, Any] = {
            "media_type": result.media_type,
            "duration": result.duration,
            "segments": [dict(s) for s in result.segments],
        }
        if self.run.writes_cache:
            self.cache.put_soon(self.plan.result_key(), data, meta)


def _slices(data: bytes) -> Iterator[bytes]:
    if len(data) <= SLICE:
        yield data
        return
    for start in range(0, len(data), SLICE):
        yield data[start : start + SLICE]
