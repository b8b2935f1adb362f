"""The answer to somebody who waits: whole, as a file, or streamed while it is made."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from antiphon.audio import codec
from antiphon.cache import Entry
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.job import Failure, Result, State
from antiphon.files.store import FileStore
from antiphon.jobs.active import ActiveJob
from antiphon.jobs.run import JobRun
from antiphon.speech import render
from antiphon.speech.plan import SpeechPlan

if TYPE_CHECKING:
    from antiphon.cache import Cache

#: Bytes of a finished answer that are kept in the cache; longer ones are joined again from their segments.
KEEP_WHOLE = 1024 * 1024
#: The digest of what was answered and not filed: nobody can ask for it again, so it is not worth hashing.
NO_FILE = ""
#: Bytes that are handed on at a time: what is handed on cannot be taken back from a reader that is slow.
SLICE = 64 * 1024

Release = Callable[[ActiveJob, State, Result | None, Failure | None], None]


@dataclass(slots=True)
class SpeechResponse:
    """One waiting request. Read it once, by `whole`, `file` or `stream`, and `close` it in any case: a reader that
    goes away before the end gives its place back at once."""

    active: ActiveJob
    run: JobRun
    plan: SpeechPlan
    cache: Cache
    threads: Threads
    files: FileStore
    release: Release
    #: Set once everything is made.
    result: Result | None = None

    @property
    def id(self) -> str:
        return self.active.id

    @property
    def hit(self) -> Literal["hit", "miss", "partial"]:
        """How much of it the cache answered."""
        if self.run.cached >= self.run.total:
            return "hit"
        return "partial" if self.run.cached else "miss"

    async def whole(self) -> bytes:
        """The complete encoded audio with true headers. Raises what ended the job."""
        try:
            data = await self._whole()
        except errors.AntiphonError as e:
            self._failed(e)
            raise
        self._succeeded()
        return data

    async def file(self) -> Result:
        """The audio as a file in the output directory. Raises what ended the job, `StorageFull` if the disk is."""
        try:
            data = await self._whole()
            assert self.result is not None
            name = f"speech_{self.id}{codec.EXTENSIONS[self.plan.request.format]}"
            digest = await self.threads.run(render.put_file, self.files.output, name, data)
        except errors.AntiphonError as e:
            self._failed(e)
            raise
        except OSError as e:
            full = errors.StorageFull(f"cannot write the audio: {e.strerror}", retry_after=10.0)
            self._failed(full)
            raise full from e
        self.result = Result(
            name, self.result.media_type, self.result.bytes, self.result.duration, digest,
            self.result.segments,
        )  # fmt: skip
        await self.files.publish_soon(self.result)
        self._succeeded()
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
        try:
            async with contextlib.aclosing(render.stream(self.run, self.plan, self.threads, timeline)) as made:
                async for data in made:
                    size += len(data)
                    if keeps and size <= KEEP_WHOLE:
                        parts.append(data)
                    else:
                        parts.clear()
                    for part in _slices(data):
                        yield part
        except errors.AntiphonError as e:
            self._failed(e)
            raise
        media_type = self.plan.media_type
        self.result = Result("", media_type, size, timeline.seconds, NO_FILE, tuple(timeline.segments))
        if keeps and size <= KEEP_WHOLE:
            self._keep(b"".join(parts))
        self._succeeded()

    def close(self) -> None:
        """Gives the place in the queue back if the end was not reached; after the end it does nothing."""
        self.release(self.active, State.CANCELLED, None, None)

    async def _whole(self) -> bytes:
        stored = await self._stored()
        if stored is not None:
            meta = stored.meta
            self.result = Result(
                "",
                meta["media_type"],
                len(stored.payload),
                meta["duration"],
                NO_FILE,
                tuple(meta["segments"]),
            )
            return stored.payload
        timeline = render.Timeline()
        audio: list[bytes] = []
        async for piece in render.pieces(self.run, self.plan, self.threads):
            timeline.add(self.plan, piece)
            audio.append(render.padded(piece))
        request = self.plan.request
        data = await render.encode(b"".join(audio), timeline.rate, request.format, request.sample_rate, self.threads)
        self.result = Result("", self.plan.media_type, len(data), timeline.seconds, NO_FILE, tuple(timeline.segments))
        # A WAV is its segments behind a header: joining them again is cheaper than a second copy on disk.
        if len(data) <= KEEP_WHOLE and self.plan.request.format != "wav":
            self._keep(data)
        return data

    async def _stored(self) -> Entry | None:
        if self.run.missing():
            return None
        key = self.plan.result_key()
        hot = self.cache.get_in_memory(key)
        if hot is None and self.cache.contains(key):
            return await self.cache.get(key)
        return hot

    def _keep(self, data: bytes) -> None:
        result = self.result
        assert result is not None
        meta: dict[str, Any] = {
            "media_type": result.media_type,
            "duration": result.duration,
            "segments": [dict(s) for s in result.segments],
        }
        if self.run.writes_cache:
            self.cache.put_soon(self.plan.result_key(), data, meta)

    def _succeeded(self) -> None:
        self.release(self.active, State.SUCCEEDED, self.result, None)

    def _failed(self, error: errors.AntiphonError) -> None:
        if isinstance(error, errors.Cancelled):
            self.release(self.active, State.CANCELLED, None, None)
        else:
            self.release(self.active, State.FAILED, None, Failure(error.code, error.message))


def _slices(data: bytes) -> Iterator[bytes]:
    if len(data) <= SLICE:
        yield data
        return
    for start in range(0, len(data), SLICE):
        yield data[start : start + SLICE]
