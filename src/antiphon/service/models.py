"""The models this server runs: which to start, what state each is in, and which one a request gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from antiphon import plugins
from antiphon.catalog import models as catalog
from antiphon.catalog.download import Downloader, PullProgress
from antiphon.domain import errors
from antiphon.domain.engine import Capabilities
from antiphon.domain.unit import Kind
from antiphon.schedule.cost import CostModels
from antiphon.schedule.dispatch import Dispatcher
from antiphon.schedule.queue import FairQueue
from antiphon.service import sizing, voices
from antiphon.settings import Settings
from antiphon.worker.gpus import Gpu, gpus
from antiphon.worker.pool import Pool

log = structlog.get_logger("antiphon.models")

#: What OpenAI's clients send; here each means "the best you have".
ALIASES = frozenset({"auto", "default", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"})
#: And of other kinds.
KIND_ALIASES = frozenset(
    {"whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "dall-e-2", "dall-e-3", "gpt-image-1"}
)
#: Seconds between tries to fetch a missing model while the network is down.
RETRY_DOWNLOAD = 60.0
#: Answers of `choose` that are remembered.
REMEMBERED = 1000
#: Seconds between two looks at the GPUs' memory.
LOOK_GPUS = 5.0

States = str


@dataclass(slots=True)
class Hosted:
    """One model of this server, from the moment its files are wanted to the end."""

    spec: catalog.ModelSpec
    pool: Pool
    dispatcher: Dispatcher
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    #: Set while files are being fetched.
    pull: PullProgress | None = None
    #: Why it cannot run, and what would help.
    error: str | None = None
    hint: str | None = None
    started: bool = False
    last_state: str = "stopped"

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def can(self) -> Capabilities | None:
        return self.pool.capabilities

    @property
    def state(self) -> States:
        """missing, downloading, starting, loading, warming, ready, degraded or unavailable."""
        if self.started:
            return self.pool.state
        if self.pull is not None:
            return "downloading"
        return "unavailable" if self.error else "missing"

    @property
    def usable(self) -> bool:
        return self.can is not None and self.state not in ("unavailable", "missing", "downloading", "stopped")

    @property
    def coming(self) -> bool:
        """Not usable yet, but on its way."""
        return not self.usable and self.state in ("downloading", "starting", "loading", "warming")

    def describe(self) -> dict[str, Any]:
        """The entry in /health."""
        pull = self.pull
        return {
            "name": self.name,
            "state": self.state,
            "phase": pull.phase if pull else self.pool.phase,
            "bytes_done": pull.bytes_done if pull else None,
            "bytes_total": pull.bytes_total if pull else None,
            "eta": pull.eta if pull else None,
            "error": self.error or self.pool.error,
            "hint": self.hint or self.pool.hint,
        }


class Models:
    """Starts what the settings name, fetches what is missing, and answers which model a request gets."""

    def __init__(
        self,
        settings: Settings,
        costs: CostModels,
        downloader: Downloader,
        *,
        on_state: Callable[[Hosted], None],
    ) -> None:
        self._settings, self._costs, self._downloader = settings, costs, downloader
        self._on_state = on_state
        self.hosted: dict[str, Hosted] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        #: Grows whenever the answer of `choose` may have changed.
        self.generation = 0
        self._chosen: dict[tuple[str, str | None, bool], Hosted] = {}
        self._chosen_at = 0
        self._news = asyncio.Event()
        self._stopping = False
        #: The GPUs, if a model can use one; looked at anew every `LOOK_GPUS` seconds.
        self.gpus: tuple[Gpu, ...] = ()
        self._seats: list[sizing.Seat] = []
        self.network: str = "offline" if settings.offline else "unknown"

    # Start, serve, stop

    async def start(self) -> None:
        """Begins to start every model; returns before they are ready."""
        wanted = self._wanted()
        if self._settings.device == "auto" and any(spec.gpu_footprint for spec in wanted):
            self.gpus = await asyncio.to_thread(gpus)
            if self.gpus:
                self._spawn(self._watch_gpus(), "watch the GPUs")
        for spec in wanted:
            hosted = self.hosted[spec.name] = self._host(spec)
            self._spawn(self._bring_up(hosted), f"bring up {spec.name}")

    async def stop(self, grace: float) -> None:
        self._stopping = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(h.pool.stop(grace) for h in self.hosted.values() if h.started))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until `condition` is true; it is asked whenever a model's state changes."""
        while not condition():
            await self._news.wait()

    def _tell(self, hosted: Hosted) -> None:
        self._news.set()
        self._news = asyncio.Event()
        self._on_state(hosted)

    def _wanted(self) -> list[catalog.ModelSpec]:
        specs: dict[str, catalog.ModelSpec] = {}
        for name in self._settings.model:
            if name == "auto":
                for spec in recommended():
                    specs[spec.name] = spec
            elif name in catalog.MODELS and catalog.MODELS[name].engine in plugins.engines():
                specs[name] = catalog.MODELS[name]
            else:
                known = ", ".join(m for m, s in catalog.MODELS.items() if s.engine in plugins.engines())
                raise errors.UnknownModel(f"there is no model {name!r}; there are: auto, {known}", param="model")
        return list(specs.values())

    def _host(self, spec: catalog.ModelSpec) -> Hosted:
        seats = sizing.seats(spec, self._settings.workers, self.gpus, self._seats)
        self._seats += seats
        if problem := sizing.too_small(spec, seats, self.gpus):
            log.warning("memory of the GPU", model=spec.name, problem=problem)
        pool = Pool(
            spec.name,
            plugins.engine_reference(spec.engine),
            {
                **spec.options,
                "dir": str(self._settings.models_path / spec.name),
                "threads": sizing.threads(spec),
                "voices": str(self._settings.data_dir / "voices"),
                "uploads": str(self._settings.data_dir / "uploads"),
            },
            len(seats),
            environments=[seat.environment for seat in seats],
            heartbeat_timeout=self._settings.heartbeat_timeout,
            unit_timeout=self._settings.unit_timeout,
            cancel_grace=self._settings.cancel_grace,
            recycle_units=self._settings.recycle_units,
            recycle_growth=self._settings.recycle_growth,
            recycle_leak=self._settings.recycle_leak,
            on_change=lambda: self._changed(spec.name),
        )
        queue = FairQueue(ageing=self._settings.ageing, weights=self._settings.weights())
        return Hosted(spec, pool, Dispatcher(spec.name, queue, pool, self._costs.model(spec.name, spec.prior)))

    async def _watch_gpus(self) -> None:
        while True:
            await asyncio.sleep(LOOK_GPUS)
            # In a thread, since a driver in trouble can hold its caller for long.
            self.gpus = await asyncio.to_thread(gpus)

    def _changed(self, name: str) -> None:
        hosted = self.hosted[name]
        if self._stopping:
            return
        if hosted.usable:
            hosted.ready.set()
        if hosted.state != hosted.last_state:
            hosted.last_state = hosted.state
            self.generation += 1
            log.info("model", model=name, state=hosted.state, phase=hosted.pool.phase, error=hosted.pool.error)
            self._tell(hosted)
        hosted.dispatcher.pump()

    async def _bring_up(self, hosted: Hosted) -> None:
        missing = catalog.missing_modules(hosted.spec)
        if missing:
            hosted.error = f"needs Python packages that are not installed: {', '.join(missing)}"
            hosted.hint = f"pip install 'antiphon[{hosted.spec.extra}]', then start the server again"
        elif await self._files(hosted):
            hosted.error = hosted.hint = None
            hosted.started = True
            await hosted.pool.start()
            return
        log.warning("model cannot run", model=hosted.name, error=hosted.error, hint=hosted.hint)
        self._tell(hosted)

    async def _files(self, hosted: Hosted) -> bool:
        """Whether the model's files are there, in the end; fetches them, again and again while the network is down."""
        if not catalog.missing(hosted.spec, self._settings.models_path):
            return True
        hosted.hint = f"antiphon pull {hosted.name} --output {self._settings.models_path}"
        while True:
            try:
                # Without a network this still takes in files that were copied here by hand.
                await self._downloader.pull(hosted.spec, lambda p: self._pulling(hosted, p))
            except errors.DownloadFailed as e:
                self.network = "offline" if isinstance(e, errors.Offline) else self.network
                hosted.pull, hosted.error = None, e.message
                self._tell(hosted)
                if self._settings.offline or not self._settings.download:
                    return False
                log.warning("download failed", model=hosted.name, error=e.message, again_in=RETRY_DOWNLOAD)
                await asyncio.sleep(RETRY_DOWNLOAD)
            else:
                hosted.pull = None
                return True

    def _pulling(self, hosted: Hosted, progress: PullProgress) -> None:
        first, hosted.pull, hosted.error = hosted.pull is None, progress, None
        if progress.bytes_done:
            self.network = "online"
        if first:
            log.info("fetching model", model=hosted.name, bytes_total=progress.bytes_total)
            self._tell(hosted)

    # Which one

    def choose(self, asked: str | None, language: str, voice: str | None = None, *, clone: bool = False) -> Hosted:
        """The model for a request: the named one, else the best that has the voice, can clone, or speaks the language.

        Raises `UnknownModel`, `UnsupportedLanguage`, `ModelLoading`, `ModelUnavailable`."""
        if asked is not None and asked not in ALIASES:
            return self._named(asked)
        if self._chosen_at != self.generation:
            self._chosen, self._chosen_at = {}, self.generation
        hosted = self._chosen.get((language, voice, clone))
        if hosted is None:
            hosted = self._chosen[(language, voice, clone)] = self._best_for(language, voice, clone)
            if len(self._chosen) > REMEMBERED:
                self._chosen.clear()
        return hosted

    def choose_kind(self, asked: str | None, kind: Kind, language: str | None = None) -> Hosted:
        """The model for work that is not speech: the named one, else the best of its kind.

        Raises `UnknownModel`, `InvalidRequest` for a model of another kind, `UnsupportedLanguage`, `ModelLoading`,
        `ModelUnavailable`."""
        if asked is not None and asked not in ALIASES | KIND_ALIASES:
            hosted = self._named(asked)
            if hosted.spec.kind != kind:
                raise errors.InvalidRequest(f"The model {asked!r} does {hosted.spec.kind}, not {kind}", param="model")
            return hosted
        able = [h for h in self.ranked() if h.spec.kind == kind]
        for hosted in able:
            if (
                hosted.usable
                and hosted.can is not None
                and (language is None or speaks(hosted.can.languages, language))
            ):
                return hosted
        for hosted in able:
            if hosted.coming:
                raise self._loading(hosted)
        if any(h.usable for h in able):
            raise errors.UnsupportedLanguage(f"No model here knows the language {language!r}", param="language")
        known = ", ".join(name for name, spec in catalog.MODELS.items() if spec.kind == kind)
        why = "; ".join(self._why_not(h) for h in able)
        raise errors.ModelUnavailable(
            why or f"no model for {kind} is served; start the server with --model, such as {known}",
            param="model",
            retry_after=RETRY_DOWNLOAD,
        )

    def _best_for(self, language: str, voice: str | None, clone: bool) -> Hosted:
        speech = [h for h in self.ranked() if h.spec.kind == "speech"]
        suited = self._suited(speech, voice, clone)
        if suited is not None:
            return suited
        for hosted in speech:
            if hosted.usable and hosted.can is not None and speaks(hosted.can.languages, language):
                return hosted
        for hosted in speech:
            if hosted.coming and speaks(hosted.spec.languages, language):
                raise self._loading(hosted)
        for hosted in speech:
            if not hosted.usable and speaks(hosted.spec.languages, language):
                raise errors.ModelUnavailable(self._why_not(hosted), param="model", retry_after=RETRY_DOWNLOAD)
        if any(h.usable for h in speech):
            names = ", ".join(h.name for h in speech if h.usable)
            raise errors.UnsupportedLanguage(
                f'No model here speaks {language!r} (served: {names}); name one with "model" to have it try',
                param="language",
            )
        raise errors.ModelUnavailable(
            "; ".join(self._why_not(h) for h in speech) or "no speech model is served",
            retry_after=RETRY_DOWNLOAD,
        )

    @staticmethod
    def _suited(speech: list[Hosted], voice: str | None, clone: bool) -> Hosted | None:
        """A voice that one model has is as good as the model's name, and so is one that only some can imitate."""
        for hosted in speech:
            if hosted.usable and hosted.can is not None:
                if clone and hosted.can.cloning:
                    return hosted
                if voice is not None and voices.has(hosted.can, voice):
                    return hosted
        return None

    def _named(self, name: str) -> Hosted:
        hosted = self.hosted.get(name)
        if hosted is None:
            served = ", ".join(self.hosted)
            known = " It is in the catalog: start the server with --model " + name if name in catalog.MODELS else ""
            raise errors.UnknownModel(
                f"The model {name[:60]!r} is not served here (served: {served}).{known}", param="model"
            )
        if hosted.usable:
            return hosted
        if hosted.coming:
            raise self._loading(hosted)
        raise errors.ModelUnavailable(self._why_not(hosted), param="model", retry_after=RETRY_DOWNLOAD)

    def _loading(self, hosted: Hosted) -> errors.ModelLoading:
        eta = hosted.pull.eta if hosted.pull and hosted.pull.eta is not None else 5.0
        return errors.ModelLoading(f"{hosted.name} is {hosted.state}; try again soon", param="model", retry_after=eta)

    @staticmethod
    def _why_not(hosted: Hosted) -> str:
        reason = hosted.error or hosted.pool.error or hosted.state
        return f"{hosted.name} cannot run: {reason}" + (f" (fix: {hosted.hint})" if hosted.hint else "")

    def ranked(self) -> list[Hosted]:
        """All of them, the best first."""
        return sorted(self.hosted.values(), key=lambda h: -h.spec.rank)

    def best(self, kind: Kind = "speech") -> Hosted | None:
        """The model that `auto` means now, whatever the language."""
        usable = [h for h in self.hosted.values() if h.usable and h.spec.kind == kind]
        return max(usable, key=lambda h: h.spec.rank, default=None)

    def _spawn(self, coroutine: Any, name: str) -> None:
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._watch)

    def _watch(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("could not bring up a model", task=task.get_name(), error=repr(error), exc_info=error)


def recommended() -> list[catalog.ModelSpec]:
    """What `auto` serves, best first: the floor and every ranked model whose packages are installed."""
    ranked = [s for s in catalog.MODELS.values() if s.rank > 0 and s.engine in plugins.engines()]
    return sorted((s for s in ranked if not catalog.missing_modules(s)), key=lambda s: -s.rank)


def speaks(languages: tuple[str, ...], language: str) -> bool:
    return not languages or language in languages
