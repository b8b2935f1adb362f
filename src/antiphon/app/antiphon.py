"""Antiphon: the rooms wired together, and their life in the order in which it happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import structlog

from antiphon.app import stores
from antiphon.app.cluster import Cluster
from antiphon.app.data_folder import DatabaseMark, DataFolder
from antiphon.app.kinds import KINDS, KindParts, KindRegistry, make_kinds, traits_of
from antiphon.app.learned import LearnedFigures
from antiphon.app.loop_lag import LoopLag
from antiphon.app.retention import Retention
from antiphon.auth import ApiKeys
from antiphon.bus import Bus
from antiphon.cache import SingleFlight
from antiphon.catalog.download import Downloader
from antiphon.concurrency.threads import Threads
from antiphon.domain.image import ImageRequest
from antiphon.domain.paths import shortened
from antiphon.domain.request import SpeechRequest
from antiphon.domain.transcription import Format, TranscriptionRequest
from antiphon.files.disk_space import DiskSpace
from antiphon.imaging import kind as imaging
from antiphon.jobs.admission import JobAdmission
from antiphon.jobs.drain import Drain
from antiphon.jobs.durable import DurableRunner
from antiphon.jobs.events import EventJournal
from antiphon.jobs.lifecycle import JobLifecycle
from antiphon.jobs.queue_control import QueueControl
from antiphon.jobs.recovery import Recovery
from antiphon.jobs.repricing import Repricing
from antiphon.jobs.run import SharedResults
from antiphon.jobs.service import JobService
from antiphon.jobs.waiting import WaitingJobs
from antiphon.jobs.webhooks import Webhooks
from antiphon.models.registry import ModelCallbacks, ModelRegistry
from antiphon.references.library import Library
from antiphon.references.service import References
from antiphon.schedule.admission import Admission
from antiphon.schedule.cost import CostModels
from antiphon.settings import Settings, load
from antiphon.speech.planner import SpeechPlanner
from antiphon.speech.service import SpeechService
from antiphon.stats.observer import Observer
from antiphon.transcription import kind as transcription
from antiphon.transcription.recordings import RecordingStore
from antiphon.version import __version__

log = structlog.get_logger("antiphon")


class Part(Protocol):
    """What lives as long as the server. Both calls are safe to make twice; `stop` also after a start that failed."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class Openable(Protocol):
    async def open(self) -> None: ...
    async def close(self) -> None: ...


class Opened:
    """A part that is opened and closed, such as a store."""

    def __init__(self, openable: Openable) -> None:
        self._openable = openable
        self._open = False

    async def start(self) -> None:
        await self._openable.open()
        self._open = True

    async def stop(self) -> None:
        if self._open:
            self._open = False
            await self._openable.close()


class Antiphon:
    """The service without HTTP: `async with Antiphon(data_dir=…) as a: audio = await a.speak("Hello")`."""

    def __init__(self, settings: Settings | None = None, *, kinds: KindRegistry = KINDS, **options: Any) -> None:
        """`kinds`: the kinds of jobs that it does."""
        self.settings = settings or load(flags=options)
        self.started_at = time.time()
        #: Set when the store can no longer be trusted; the process must end.
        self.broken = asyncio.Event()
        #: Why, then.
        self.failure: BaseException | None = None
        self._started: list[Part] = []
        self._wire_floor()
        self._wire_models(kinds)
        self._wire_jobs(kinds)
        folder = DataFolder(self.settings)
        #: In the order in which they start; they stop in reverse.
        self._parts: tuple[Part, ...] = (
            folder, self.files, Opened(self.store), DatabaseMark(folder), Opened(self.cache), self.journal,
            self.api_keys, self._learned, self.webhooks, self.lifecycle, self.models, self.queue_control,
            Drain(self.lifecycle, self.store), self._recovery, self._retention, LoopLag(self.observer, self.models),
            *((self.cluster,) if self.cluster else ()),
        )  # fmt: skip

    # Wire

    def _wire_floor(self) -> None:
        """What the others stand on: threads, bus, stores, keys."""
        s = self.settings
        self.threads = Threads()
        # Texts have threads of their own: a few costly ones must not hold up everybody's audio.
        self.text_threads = Threads(2, "text")
        self.bus = Bus(watched_elsewhere=lambda job: self.cluster is not None and self.cluster.is_watched(job))
        self.store = stores.job_store(s, self._store_broke)
        self.files = stores.file_store(s, self.threads)
        self.cache = stores.cache(s, self.files.bucket)
        self.space = DiskSpace(s.data_dir, s.min_free_bytes)
        self.api_keys = ApiKeys(self.store)
        self.observer = Observer()
        self.webhooks = Webhooks(self.store, self.bus, private=s.webhook_private)

    def _wire_models(self, registry: KindRegistry) -> None:
        s, costs, load_seconds = self.settings, CostModels(), dict[str, float]()
        self._learned = LearnedFigures(self.store, costs, load_seconds, self.observer.statistics)
        self.models = ModelRegistry(
            s,
            costs,
            Downloader(s.models_path, offline=s.offline or not s.download, first=s.hub),
            ModelCallbacks(
                on_state=lambda served: self.bus.publish("model.state", data=served.describe()),
                on_served=self.observer.served,
                on_progress=lambda unit, fraction: self.lifecycle.report_progress(unit, fraction),
                on_price_level=lambda served: self._repricing.soon(served),
            ),
            self._servers,
            load_seconds,
            traits_of(registry),
        )

    def _wire_jobs(self, registry: KindRegistry) -> None:
        s = self.settings
        library, uploads = Library(s.data_dir / "voices"), s.data_dir / "uploads"
        self.references = References(
            self.store, library, self.threads, self.files, self.space, s.voices_bytes, self._voices_changed
        )
        self.recordings = RecordingStore(
            uploads, self.threads, self.files, self.space, s.uploads_bytes, lambda: self.lifecycle.sources()
        )
        planner = SpeechPlanner(self.models.selector, self.text_threads, self.references)
        self.kinds = make_kinds(registry, KindParts(self.models.selector, planner, self.recordings))
        work = Admission(
            client_seconds=s.max_client_seconds, total_seconds=s.max_queue_seconds,
            client_bytes=s.max_client_bytes, total_bytes=s.max_queue_bytes,
        )  # fmt: skip
        self.admission = JobAdmission(work, self.api_keys, self.space)
        shared = SharedResults(self.cache, SingleFlight(), self._cache_space)
        self.lifecycle = JobLifecycle(self.models, shared, self.bus, self.admission, self.observer)
        self._repricing = Repricing(self.lifecycle)
        durable = DurableRunner(self.lifecycle, self.store, self.files, self.threads, self.kinds)
        waiting = WaitingJobs(self.lifecycle, self.store)
        self.jobs = JobService(
            self.lifecycle, self.store, durable, waiting, self.webhooks, self.kinds, self._remote_view
        )
        self.queue_control = QueueControl(self.jobs, self.store, self._queue_changed)
        self.speech = SpeechService(self.jobs, waiting, planner, self.cache, self.files, self.threads)
        self.journal = EventJournal(self.bus, self.store, self.lifecycle)
        self._recovery = Recovery(self.lifecycle, durable, self.store, self.webhooks, self.bus)
        self._retention = Retention(
            s, self.store, self.files, self.references, self.recordings, self.lifecycle, self.kinds, self.threads
        )
        channel = self.store.cluster
        self.cluster = (
            None
            if channel is None
            else Cluster(channel, self.bus, self.jobs, self.references, self._recovery, self.queue_control)
        )

    def _cache_space(self, owner: str) -> str:
        return "" if self.api_keys.open or self.settings.cache_sharing == "all" else owner

    async def _servers(self) -> tuple[int, int]:
        return (0, 1) if self.cluster is None else await self.cluster.servers()

    async def _remote_view(self, job: str) -> dict[str, Any] | None:
        return None if self.cluster is None else await self.cluster.ask(job)

    async def _voices_changed(self, owner: str, unused: str | None) -> None:
        if self.cluster is not None:
            await self.cluster.voices_changed(owner, unused)

    async def _queue_changed(self, job: str | None) -> None:
        if self.cluster is not None:
            await self.cluster.queue_changed(job)

    def _store_broke(self, error: BaseException) -> None:
        log.critical("the job store failed; the server stops so that nothing false is promised", error=repr(error))
        self.failure = self.failure or stores.failure(self.settings, error)
        self.broken.set()

    # Start, drain, stop

    async def start(self) -> None:
        """Opens what is durable, begins to start the models and takes up what a previous process left."""
        for part in self._parts[len(self._started) :]:
            # Also a part whose start fails is stopped.
            self._started.append(part)
            await part.start()

    async def drain(self) -> None:
        """Readiness turns false at once; running work gets `drain_seconds`."""
        await Drain(self.lifecycle, self.store).drain(self.settings.drain_seconds)

    async def stop(self) -> None:
        """Ends everything, in reverse order; also after a start that failed half-way."""
        self.bus.close()
        while self._started:
            part = self._started.pop()
            try:
                await part.stop()
            except Exception:
                # The parts below it, the store among them, are to be closed all the same.
                log.exception("a part of the server did not stop as it should", part=type(part).__name__)
        self.threads.close()
        self.text_threads.close()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
            await self.ready()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def ready(self) -> None:
        """Waits until some model can speak; where only other kinds are served, until one of them can work."""
        await self.models.until(lambda: self.models.selector.primary() is not None)

    async def settled(self) -> None:
        """Waits until every model that can run with what is on disk has started, or failed to."""
        await self.ready()
        served = self.models.served.values()
        await self.models.until(lambda: not any(h.becoming_usable and h.fetching is None for h in served))

    # Serve

    async def speak(self, text: str, **options: Any) -> bytes:
        """Speaks a text and returns the encoded audio; `options` are the fields of `SpeechRequest`."""
        speech = await self.speech.speak(SpeechRequest(text, **options), "local")
        try:
            return await speech.whole()
        finally:
            speech.close()

    async def transcribe(self, file: Path, *, format: Format = "text", **options: Any) -> str:
        """The transcript of a recording, in the format; `options` are fields of `TranscriptionRequest`."""
        with file.open("rb") as opened:
            recording = await self.recordings.put(opened)
        request = TranscriptionRequest(recording.digest, recording.bounds, recording.seconds, format=format, **options)
        async with self.jobs.waiting(request, "local") as job:
            return (await transcription.whole(job)).decode()

    async def imagine(self, prompt: str, **options: Any) -> list[bytes]:
        """Draws images of a prompt and returns the files' bytes; `options` are the fields of `ImageRequest`."""
        options.setdefault("seed", imaging.random_seed())
        async with self.jobs.waiting(ImageRequest(prompt, **options), "local") as job:
            return [image.data for image in await imaging.whole(job, self.threads)]

    def voices(self) -> list[dict[str, Any]]:
        """The voices of every model that can speak, the best model's first."""
        return [
            {
                "id": v.id,
                "name": v.name,
                "model": h.name,
                "languages": list(v.languages),
                "gender": v.gender,
                "speakers": list(v.speakers),
            }
            for h in self.models.selector.ranked()
            if h.capabilities is not None
            for v in h.capabilities.voices
        ]

    def health(self) -> Mapping[str, Any]:
        """What /health answers: cheap, and true while models load, download or crash."""
        models = self.models.served.values()
        best = self.models.selector.best()
        if self.models.selector.primary() is not None:
            status = "ok" if all(h.state in ("ready", "asleep") or h.becoming_usable for h in models) else "degraded"
        else:
            status = "starting" if any(h.becoming_usable for h in models) else "degraded"
        bucket = self.files.bucket
        if bucket is not None and bucket.last_error is not None and status == "ok":
            status = "degraded"
        return {
            "status": "draining" if self.jobs.draining else status,
            "concurrent": sum(h.dispatcher.running for h in models),
            "queued": sum(len(h.dispatcher.queue) for h in models),
            "model_loaded": best is not None,
            "model": best.name if best else None,
            "models": [h.describe() for h in models],
            "network": self.models.network,
            "version": __version__,
            "storage": None if bucket is None else shortened(bucket.last_error or "ok"),
        }
