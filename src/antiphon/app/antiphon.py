"""Antiphon itself: the rooms wired together, and their life in the order in which it happens."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

import structlog

from antiphon import __version__
from antiphon.app import loop_lag, stores
from antiphon.app.cluster import Cluster
from antiphon.app.retention import Retention
from antiphon.auth import ApiKeys
from antiphon.bus import Bus
from antiphon.catalog.download import Downloader
from antiphon.concurrency.threads import Threads
from antiphon.domain import errors
from antiphon.domain.event import Event
from antiphon.domain.image import ImageRequest
from antiphon.domain.job import JobType, State
from antiphon.domain.request import SpeechRequest
from antiphon.domain.transcription import Format, TranscriptionRequest
from antiphon.files import store
from antiphon.imaging import kind as imaging
from antiphon.jobs import drain, durable
from antiphon.jobs.kind import Kind, Kinds
from antiphon.jobs.service import JobService
from antiphon.jobs.webhooks import Webhooks
from antiphon.models.registry import ModelRegistry
from antiphon.models.served import ServedModel
from antiphon.references.library import Library
from antiphon.references.service import References
from antiphon.schedule.admission import Admission
from antiphon.schedule.cost import CostModels
from antiphon.settings import Settings, load
from antiphon.speech import render
from antiphon.speech.planner import JobAdmission
from antiphon.store.base import JobStore
from antiphon.transcription import kind as transcription
from antiphon.transcription.recordings import RecordingStore

log = structlog.get_logger("antiphon")

#: Seconds between saves of what was learned about costs.
SAVE_COSTS = 30.0
#: Seconds for which the end of a job is looked for of which nobody was told.
UNTOLD = 3600.0
#: Events that wait for space on a full disk.
EVENTS_WAITING = 20_000
#: Seconds between two corrections of the place in line that somebody watches.
CORRECT = 1.0


class Antiphon:
    """The service without HTTP: `async with Antiphon(data_dir=…) as a: audio = await a.speak("Hello")`."""

    def __init__(self, settings: Settings | None = None, **options: Any) -> None:
        self.settings = settings or load(flags=options)
        s = self.settings
        self.bus = Bus()
        self.store: JobStore = stores.make(s, self._fatal)
        self.costs = CostModels()
        self.threads = Threads()
        self.files = store.make(s, self.threads)
        self.cache = store.cache(s, self.files)
        self.downloader = Downloader(s.models_path, offline=s.offline or not s.download, first=s.hub)
        self.models = ModelRegistry(s, self.costs, self.downloader, on_state=self._model_state, servers=self._servers)
        self.admission = Admission(
            client_seconds=s.max_client_seconds,
            total_seconds=s.max_queue_seconds,
            client_bytes=s.max_client_bytes,
            total_bytes=s.max_queue_bytes,
        )
        self.references = References(self.store, Library(s.data_dir / "voices"), self.threads, self.files)
        self.keys = ApiKeys(self.store)
        intake = JobAdmission(self.models, self.admission, self.threads, self.references, self.keys)
        self.webhooks = Webhooks(self.store, self.bus, private=s.webhook_private)
        self.uploads = RecordingStore(s.data_dir / "uploads", self.threads, self.files)
        hearing = transcription.TranscriptionPlanner(self.models, self.uploads, self.keys)
        drawing = imaging.ImagePlanner(self.models, self.keys)
        kinds: Kinds = {
            "speech": Kind(SpeechRequest.from_json, intake.prepare, intake.plan, render.write),
            "transcription": Kind(TranscriptionRequest.from_json, hearing.prepare, hearing.plan, transcription.write),
            "image": Kind(ImageRequest.from_json, drawing.prepare, drawing.plan, imaging.write),
        }
        self.jobs = JobService(
            intake, self.models, self.store, self.cache, self.bus, self.webhooks, self.threads, self.files, kinds
        )
        self.observer = self.jobs.observer
        self.retention = Retention(s, self.store, self.jobs, self.references, self.uploads)
        self.uploads.check_space = self.retention.check_space
        self.uploads.most, self.uploads.needed = s.uploads_bytes, self.jobs.sources
        intake.check_space, self.references.check_room = self.retention.check_space, self.retention.check_voices
        self.references.on_read = self.retention.voice_read
        channel = self.store.cluster
        self.cluster = Cluster(channel, self.bus, self.jobs, self._take_over) if channel is not None else None
        self.started_at = time.time()
        self.state = "starting"
        #: Set when the store can no longer be trusted; the process must end.
        self.broken = asyncio.Event()
        self._among = 0, 1
        #: Servers of the store that lived at the last look.
        self._living: set[str] = set()
        self._lock: IO[str] | None = None
        self._opened = False
        self._tasks: list[asyncio.Task[None]] = []
        self._events: list[Event] = []
        self._flushing = asyncio.Lock()

    # Start

    async def start(self) -> None:
        """Opens what is durable, begins to start the models and takes up what an earlier life left."""
        s = self.settings
        for path in (s.data_dir, s.output_path, s.cache_path, s.models_path):
            path.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        if self.files.bucket is not None:
            await self.files.bucket.check()
        await self.store.open()
        self._opened = True
        await self.cache.open()
        self.bus.start_after(await self.store.last_event_id())
        self.bus.listen(self._remember)
        if self.cluster is not None:
            await self.cluster.start()
        await self.keys.load()
        self.bus.listen(self.keys.heard)
        learned = await self.store.get_value("costs")
        if learned is not None:
            self.costs.load_json(learned)
        loads = await self.store.get_value(self._own("loads")) or {}
        self.observer.statistics.load_json(await self.store.get_value(self._own("statistics")))
        for leftover in s.output_path.glob(".*.part"):
            leftover.unlink(missing_ok=True)
        await self.webhooks.start()
        await self.models.start()
        for served in self.models.served.values():
            served.took = served.took or loads.get(served.name)
            served.dispatcher.on_served = partial(self.observer.served, served.name)
            served.pool.on_progress = self.jobs.unit_progress
        self._tasks = [
            asyncio.create_task(self._rescue(), name="rescue"),
            asyncio.create_task(self._tell_ends(), name="tell ends"),
            asyncio.create_task(self._keep_costs(), name="keep costs"),
            asyncio.create_task(self.retention.run(), name="housekeeping"),
            asyncio.create_task(self._write_events(), name="write events"),
            asyncio.create_task(self._correct(), name="correct etas"),
            asyncio.create_task(self.keys.run(), name="keys"),
            asyncio.create_task(loop_lag.beat(self.observer, self.models), name="pulse"),
        ]
        for task in self._tasks:
            task.add_done_callback(_watch)
        self.state = "ok"

    def _take_lock(self) -> None:
        path = self.settings.data_dir / "antiphon.lock"
        self._lock = path.open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            self._lock.close()
            raise errors.Conflict(
                f"another Antiphon already uses {self.settings.data_dir}; stop it, or give this one its own --data-dir"
            ) from e

    def _own(self, name: str) -> str:
        """Under what this server's own figures are kept; what a model costs is known to all."""
        channel = self.store.cluster
        return name if channel is None else f"{name} of {channel.server}"

    async def _take_over(self) -> None:
        """Goes on with what another server left."""
        # Ids go on from its last ones, so that a listener's place stays right.
        self.bus.start_after(await self.store.last_event_id())
        assert self.store.cluster is not None
        living = {name for name, _, _ in await self.store.cluster.servers()}
        if self._living - living:
            await self._tell_ends()
        self._living = living
        await self._rescue()
        await self.webhooks.take_up()

    async def _rescue(self) -> None:
        """Takes up what was queued or running when the last life ended, model by model as they become ready."""
        waiting: dict[tuple[str, JobType], list[str]] = {}
        async for job in self.store.rescue():
            # Only ids: a long queue is not to be in memory as a whole, texts and all.
            waiting.setdefault((str(job.request.get("model") or ""), job.type), []).append(job.id)
        if waiting:
            log.info("taking up jobs of an earlier life, or of another server", jobs=sum(map(len, waiting.values())))
        for (model, kind), found in waiting.items():
            # Beside this: a model that does not start must not keep the others, or the next rescue, from going on.
            self.jobs.spawn(self._resume(model, kind, found), f"take up jobs of {model}", waits=True)

    async def _tell_ends(self) -> None:
        """Who listens to a job hears of its end also where its server was killed before it could say so."""
        for job in await self.store.unannounced_endings(time.time() - UNTOLD, self.started_at):
            self.jobs.publish_end(job)

    async def _resume(self, model: str, kind: JobType, found: list[str]) -> None:
        await self.models.until(lambda: self.models.taker(model, kind) is not None)
        for job_id in found:
            await durable.take_up(self.jobs, job_id)

    # Serve

    async def speak(self, text: str, **options: Any) -> bytes:
        """Speaks a text and returns the encoded audio; `options` are the fields of `SpeechRequest`."""
        speech = await self.jobs.speak(SpeechRequest(text, **options), "local")
        try:
            return await speech.whole()
        finally:
            speech.close()

    async def transcribe(self, file: Path, *, format: Format = "text", **options: Any) -> str:
        """Writes down what is said in a recording, in the format; `options` are fields of `TranscriptionRequest`."""
        with file.open("rb") as opened:
            upload = await self.uploads.take(opened)
        request = TranscriptionRequest(upload.digest, upload.bounds, upload.seconds, format=format, **options)
        active = await self.jobs.wait_for(request, "local")
        try:
            assert active.run is not None
            told = await transcription.whole(active.run, cast("transcription.TranscriptionPlan", active.run.plan))
            return transcription.render(told, request).decode()
        finally:
            self.jobs.release(active, State.CANCELLED, None, None)

    async def imagine(self, prompt: str, **options: Any) -> list[bytes]:
        """Draws images of a prompt and returns the files' bytes; `options` are the fields of `ImageRequest`."""
        options.setdefault("seed", imaging.any_seed())
        active = await self.jobs.wait_for(ImageRequest(prompt, **options), "local")
        try:
            assert active.run is not None
            plan = cast("imaging.ImagePlan", active.run.plan)
            return [image.data async for image in imaging.drawn(active.run, plan, self.threads)]
        finally:
            self.jobs.release(active, State.CANCELLED, None, None)

    async def ready(self) -> None:
        """Waits until some model can speak; where only other kinds are served, until one of them can work."""
        await self.models.until(lambda: self.models.chief() is not None)

    async def settled(self) -> None:
        """Waits until every model that can run with what is on disk has started, or failed to."""
        await self.ready()
        served = self.models.served.values()
        await self.models.until(lambda: not any(h.coming and h.fetching is None for h in served))

    def voices(self) -> list[dict[str, Any]]:
        """The voices of every model that can speak, the best model's first."""
        return [
            {"id": v.id, "name": v.name, "model": h.name, "languages": list(v.languages), "gender": v.gender}
            for h in self.models.ranked()
            if h.capabilities is not None
            for v in h.capabilities.voices
        ]

    def health(self) -> Mapping[str, Any]:
        """What /health answers: cheap, and true while models load, download or crash."""
        models = self.models.served.values()
        best = self.models.best()
        if self.models.chief() is not None:
            status = "ok" if all(h.state in ("ready", "asleep") or h.coming for h in models) else "degraded"
        else:
            status = "starting" if any(h.coming for h in models) else "degraded"
        bucket = self.files.bucket
        if bucket is not None and bucket.trouble is not None and status == "ok":
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
            "storage": None if bucket is None else bucket.trouble or "ok",
        }

    # Drain, stop

    async def drain(self) -> None:
        """Readiness turns false at once; running work gets `drain_seconds`."""
        self.state = "draining"
        await drain.drain(self.jobs, self.settings.drain_seconds)

    async def stop(self) -> None:
        """Ends everything; also after a start that failed half-way."""
        self.state = "stopped"
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.bus.close()
        if self._opened:
            await self._stop_rooms()
        self.threads.close()
        if self._lock is not None:
            self._lock.close()

    async def _stop_rooms(self) -> None:
        if self.cluster is not None:
            await self.cluster.stop()
        await drain.drain(self.jobs, 0.0)
        await self.models.stop(grace=2.0)
        await self.jobs.close()
        await self.webhooks.stop()
        if not self.broken.is_set():
            # A store that is away, or full, must not keep the rest from being closed.
            with contextlib.suppress(errors.StorageFull, errors.StoreError):
                await self._save_costs()
                await self.keys.flush()
            await self.flush_events()
        await self.files.close()
        await self.cache.close()
        await self.store.close()

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

    async def _servers(self) -> tuple[int, int]:
        """Which of the living servers of the store this is, and how many they are."""
        channel = self.store.cluster
        if channel is None:
            return 0, 1
        with contextlib.suppress(errors.StoreError):
            slots = sorted(slot for _, slot, left in await channel.servers() if left > 0)
            if channel.slot in slots:
                self._among = slots.index(channel.slot), len(slots)
        return self._among

    # Along the way

    def _model_state(self, served: ServedModel) -> None:
        self.bus.publish("model.state", data=served.describe())

    def _remember(self, event: Event) -> None:
        active = self.jobs.active.get(event.job or "")
        if event.type == "job.progress":
            return  # True for a second; a replay is better off without.
        if event.job is not None and (active is None or active.durable):
            self._events.append(event)

    async def _correct(self) -> None:
        """Tells those who watch a waiting job its place anew: others came, went, or took longer than thought."""
        while True:
            await asyncio.sleep(CORRECT)
            for job_id in self.bus.watched():
                active = self.jobs.active.get(job_id)
                if active is not None and active.state is State.QUEUED:
                    self.jobs.tell(active, "job.progress")

    async def _write_events(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            await self.flush_events()

    async def flush_events(self) -> None:
        """Everything published so far is in the store when this returns, also what another call is writing."""
        async with self._flushing:
            if self._events:
                batch, self._events = self._events, []
                try:
                    await self.store.append_events(batch)
                except (errors.StorageFull, errors.StoreError):
                    # They wait for space, or the database, as jobs do, but not without end: the newest are kept.
                    self._events = (batch + self._events)[-EVENTS_WAITING:]

    async def _keep_costs(self) -> None:
        while True:
            await asyncio.sleep(SAVE_COSTS)
            with contextlib.suppress(errors.StorageFull, errors.StoreError):
                await self._save_costs()

    async def _save_costs(self) -> None:
        await self.store.set_value("costs", self.costs.to_json())
        loads = {h.name: round(h.took, 2) for h in self.models.served.values() if h.took is not None}
        await self.store.set_value(self._own("loads"), loads)
        await self.store.set_value(self._own("statistics"), self.observer.statistics.to_json())

    def _fatal(self, error: BaseException) -> None:
        log.critical("the job store failed; the server stops so that nothing false is promised", error=repr(error))
        self.broken.set()


def _watch(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a background task ended", task=task.get_name(), error=repr(error), exc_info=error)
