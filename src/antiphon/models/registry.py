"""Model registry: starts the models that the settings name, fetches their files, and loads and unloads them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from antiphon import plugins
from antiphon.catalog import local_models, remote_models
from antiphon.catalog import models as catalog
from antiphon.catalog.download import Downloader, PullProgress
from antiphon.concurrency.tasks import TaskSet
from antiphon.domain import errors
from antiphon.domain.job import Kind
from antiphon.domain.kind import KindTraits
from antiphon.domain.unit import Unit, UnitResult
from antiphon.models import backends
from antiphon.models.residency import Residency
from antiphon.models.selection import ModelSelector
from antiphon.models.served import ServedModel
from antiphon.schedule.cost import CostModels
from antiphon.schedule.dispatch import Dispatcher
from antiphon.schedule.fair_queue import FairQueue
from antiphon.settings import Settings
from antiphon.worker.gpus import Gpu

log = structlog.get_logger("antiphon.models")

#: Seconds between attempts to fetch a missing model while the network is down.
RETRY_DOWNLOAD = 60.0
#: Seconds that a worker gets to end when the server stops.
STOP_GRACE = 2.0


@dataclass(frozen=True, slots=True)
class ModelCallbacks:
    """Functions through which the registry reports to the rest of the server. They are quick and do not raise."""

    #: A model's state changed.
    on_state: Callable[[ServedModel], object]
    #: A worker of the named model finished a unit, which occupied a slot for so many seconds.
    on_served: Callable[[str, UnitResult, float], None]
    #: A worker reports the progress of a unit, 0 to 1.
    on_progress: Callable[[Unit, float], None]
    #: The model's predictions changed so much that its queued work should be priced again.
    on_price_level: Callable[[ServedModel], None]


class ModelRegistry:
    """The models of this server. Used in one event loop."""

    def __init__(
        self,
        settings: Settings,
        costs: CostModels,
        downloader: Downloader,
        callbacks: ModelCallbacks,
        servers: Callable[[], Awaitable[tuple[int, int]]],
        load_seconds: dict[str, float],
        traits: Mapping[Kind, KindTraits],
    ) -> None:
        """`servers` gives the rank of this server among those that work together, from 0, and their number.
        `load_seconds`: seconds that each model took to load the last time, by name; the registry updates it."""
        self._settings, self._costs, self._downloader = settings, costs, downloader
        self._callbacks, self._load_seconds, self._traits = callbacks, load_seconds, traits
        self.served: dict[str, ServedModel] = {}
        self.selector = ModelSelector(self.served)
        self._tasks = TaskSet("antiphon.models")
        self._changed_event = asyncio.Event()
        self._stopping = False
        self.residency = Residency(settings.memory_budget, settings.keep_alive_by_name(), self._changed)
        self._backend = backends.make(settings, backends.Demand(self._backlog, servers))
        self.network: str = "offline" if settings.offline else "unknown"

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs of this machine, if a model can use one."""
        return self._backend.gpus

    # Start, serve, stop

    async def start(self) -> None:
        """Begins to start every model; returns before they are ready."""
        specs = self._configured()
        await self._backend.start(specs)
        self._tasks.spawn(self._backend.run(), "watch the workers' resources")
        self._tasks.spawn(self.residency.run(), "keep models in memory")
        for spec in specs:
            served = self.served[spec.name] = self._serve(spec)
            self._tasks.spawn(self._bring_up(served), f"bring up {spec.name}")

    async def stop(self) -> None:
        self._stopping = True
        await self._tasks.stop()
        await asyncio.gather(*(model.pool.stop(STOP_GRACE) for model in self.served.values() if model.started))
        await self._backend.stop()

    def load(self, name: str) -> ServedModel:
        """Begins to load a model. Raises `UnknownModel`, `Conflict` with the reason if the model cannot be loaded."""
        served = self._resident(name)
        resident = self.residency.residents[name]
        if resident.refused is not None:
            raise errors.Conflict(f"{name} cannot be loaded: {resident.refused}", param="model")
        self.residency.load(name)
        return served

    def unload(self, name: str) -> ServedModel:
        """Removes a model from memory once its running work is done; the next request for it loads it again. Raises
        `UnknownModel`, `Conflict` for a model with waiting jobs, or one that never was in memory."""
        served = self._resident(name)
        if served.waiting:
            why = f"{name} has {served.waiting} jobs waiting, which would wake it at once; pause or cancel them first"
            raise errors.Conflict(why, param="model")
        self.residency.unload(name)
        return served

    def _resident(self, name: str) -> ServedModel:
        if (served := self.served.get(name)) is None:
            why = f"The model {name[:60]!r} is not served here (served: {', '.join(self.served)})"
            raise errors.UnknownModel(why, param="model")
        if name not in self.residency.residents:
            raise errors.Conflict(f"{name} is {served.state}: {served.error or 'it is not here yet'}", param="model")
        return served

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until `condition` is true; checks it whenever a model's state changes."""
        while not condition():
            await self._changed_event.wait()

    def _announce(self, served: ServedModel) -> None:
        self._changed_event.set()
        self._changed_event = asyncio.Event()
        self._callbacks.on_state(served)

    def _configured(self) -> list[catalog.ModelSpec]:
        """The models that the settings name. Raises `UnknownModel`."""
        specs: dict[str, catalog.ModelSpec] = {}
        folder = self._settings.models_path
        for name in self._settings.model:
            if name == "auto":
                specs |= {spec.name: spec for spec in recommended(folder)}
                continue
            found = remote_models.find(name) or catalog.find(name) or local_models.find(name, folder)
            if found is None:
                known = ", ".join(catalog.names())
                raise errors.UnknownModel(f"there is no model {name!r}; there are: auto, {known}", param="model")
            specs[found.name] = found
        return list(specs.values())

    def _serve(self, spec: catalog.ModelSpec) -> ServedModel:
        callbacks, traits = self._callbacks, self._traits[spec.kind]
        pool = self._backend.pool(spec, lambda: self._changed(spec.name), callbacks.on_progress)
        queue = FairQueue(ageing=self._settings.ageing, weights=self._settings.weights())
        dispatcher = Dispatcher(
            spec.name, queue, pool, self._costs.model(spec.name, spec.prior), reference_length=traits.reference_length,
            on_price_level=lambda: callbacks.on_price_level(served),
            on_served=lambda result, seconds: self._count(served, result, seconds),
        )  # fmt: skip
        if (device := self._backend.device(spec)) is not None:
            dispatcher.share(device)
        served = ServedModel(spec, pool, dispatcher, traits, load_seconds=self._load_seconds.get(spec.name))
        return served

    def _count(self, served: ServedModel, result: UnitResult, seconds: float) -> None:
        """Counts a unit, unless its result is malformed: figures about it would be wrong, or could not be computed."""
        if served.problem(result) is None:
            self._callbacks.on_served(served.name, result, seconds)

    def _backlog(self, name: str) -> tuple[float, int]:
        """Predicted seconds of a model's waiting and running work, and how many of them one worker works off in one."""
        if (served := self.served.get(name)) is None:
            return 0.0, 1
        seconds = served.dispatcher.queue.backlog_seconds() + sum(served.dispatcher.busy())
        return seconds, served.capabilities.parallel if served.capabilities is not None else 1

    def _changed(self, name: str) -> None:
        served = self.served[name]
        if self._stopping:
            return
        self.residency.changed()
        if (resident := self.residency.residents.get(name)) is not None and resident.refused:
            served.error, served.hint = resident.refused, "raise --memory-budget, or serve it with fewer --workers"
        if (capabilities := served.capabilities) is not None:
            if (traits := self._traits.get(capabilities.kind)) is None:
                served.error = served.error or f"this server does no work of kind {capabilities.kind!r}"
            else:
                # The catalog does not know the kind of another package's engine.
                served.traits = traits
                served.error = served.error or traits.problem(capabilities)
        served.measure_load()
        if served.load_seconds is not None:
            self._load_seconds[name] = served.load_seconds
        if served.state != served.last_state:
            served.last_state = served.state
            self.selector.changed()
            log.info("model", model=name, state=served.state, phase=served.pool.phase, error=served.pool.error)
            self._announce(served)
        served.dispatcher.pump()

    async def _bring_up(self, served: ServedModel) -> None:
        remote = self._backend.fetches_files(served.spec)
        missing = () if remote else catalog.missing_modules(served.spec)
        if missing:
            served.error = f"needs Python packages that are not installed: {', '.join(missing)}"
            served.hint = f"pip install 'antiphon[{served.spec.extra}]', then start the server again"
        elif catalog.lacks_voice(served.spec, self._settings.models_path):
            served.error = f"has no voice in {self._settings.models_path / served.name}"
            served.hint = (
                f"antiphon voices --available lists them, antiphon pull {served.name}:VOICE fetches one; "
                "then start the server again"
            )
        elif remote or await self._files(served):
            served.error = served.hint = None
            served.started = True
            await self.residency.add(served)
            return
        log.warning("model cannot run", model=served.name, error=served.error, hint=served.hint)
        self._announce(served)

    async def _files(self, served: ServedModel) -> bool:
        """Fetches the model's missing files, and retries while the network is down; False if the settings forbid it."""
        if not catalog.missing(served.spec, self._settings.models_path):
            return True
        folder = self._settings.models_path
        served.hint = f"antiphon pull {served.name} --output {'MODELS_DIR' if folder.is_absolute() else folder}"
        while True:
            try:
                # Without a network, this still accepts files that the operator copied here.
                await self._downloader.pull(served.spec, lambda p: self._pulling(served, p))
            except errors.DownloadFailed as e:
                self.network = "offline" if isinstance(e, errors.Offline) else self.network
                served.pull, served.error = None, e.message
                self._announce(served)
                if self._settings.offline or not self._settings.download:
                    return False
                log.warning("download failed", model=served.name, error=e.message, again_in=RETRY_DOWNLOAD)
                await asyncio.sleep(RETRY_DOWNLOAD)
            else:
                served.pull = None
                return True

    def _pulling(self, served: ServedModel, progress: PullProgress) -> None:
        first, served.pull, served.error = served.pull is None, progress, None
        if progress.bytes_done:
            self.network = "online"
        if first:
            log.info("fetching model", model=served.name, bytes_total=progress.bytes_total)
            self._announce(served)


def recommended(models_dir: Path) -> list[catalog.ModelSpec]:
    """The models that `auto` serves, best first: every ranked model whose packages are installed, and a voice of those
    whose voices are pulled one by one."""
    ranked = [s for s in catalog.MODELS.values() if s.rank > 0 and s.engine in plugins.engines()]
    able = [s for s in ranked if not catalog.missing_modules(s) and not catalog.lacks_voice(s, models_dir)]
    return sorted(able, key=lambda s: -s.rank)
