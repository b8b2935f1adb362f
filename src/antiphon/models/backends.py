"""Worker backends: make the pool of workers of each model, on this machine or on the nodes of a Ray cluster."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import structlog

from antiphon import plugins
from antiphon.catalog.models import ModelSpec
from antiphon.concurrency.tasks import TaskSet
from antiphon.domain import errors
from antiphon.domain.unit import Unit
from antiphon.models import placement
from antiphon.schedule.autoscale import AutoscalePolicy
from antiphon.schedule.device import Device
from antiphon.settings import Settings, values
from antiphon.worker import frames, local
from antiphon.worker.gpus import Gpu, gpus
from antiphon.worker.limits import Recycling, WorkerLimits
from antiphon.worker.pool import Pool
from antiphon.worker.ray.client import NodeShare, RayClient

log = structlog.get_logger("antiphon.models")

#: Seconds between readings of the GPUs' memory, and of the demand for workers.
GPU_INTERVAL, DEMAND_INTERVAL = 5.0, 2.0
#: Seconds that a surplus worker gets to finish its units.
SHRINK_GRACE = 30.0


@dataclass(frozen=True, slots=True)
class Demand:
    """What the number of workers depends on."""

    #: For a model: predicted seconds of its waiting and running work on one slot, and the slots of one worker.
    backlog: Callable[[str], tuple[float, int]]
    #: The rank of this server among those that work together, from 0, and their number.
    servers: Callable[[], Awaitable[tuple[int, int]]]


#: Receives a unit and its progress, 0 to 1.
OnProgress = Callable[[Unit, float], None]


class WorkerBackend(Protocol):
    """Makes pools of workers. Used in one event loop."""

    #: The GPUs of this machine, if a model can use one; read again every `GPU_INTERVAL` seconds.
    gpus: tuple[Gpu, ...]

    def fetches_files(self, spec: ModelSpec) -> bool:
        """Whether the backend fetches the model's files to where it runs; else they must be on this machine."""

    async def start(self, specs: list[ModelSpec]) -> None:
        """Finds out what this machine has. Called before the first pool is made, with all models to serve."""

    async def run(self) -> None:
        """Watches the resources until it is cancelled."""

    def pool(self, spec: ModelSpec, on_change: Callable[[], None], on_progress: OnProgress) -> Pool: ...

    def device(self, spec: ModelSpec) -> Device | None:
        """The device that the model shares with other models; None if it shares none."""

    async def stop(self) -> None:
        """Called after the last pool has stopped."""


class LocalBackend:
    """Runs workers as child processes of the server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.gpus: tuple[Gpu, ...] = ()
        self._placements: list[placement.Placement] = []
        self._on_gpu: set[str] = set()
        self._devices: dict[str, Device] = {}

    def fetches_files(self, spec: ModelSpec) -> bool:
        return False

    async def start(self, specs: list[ModelSpec]) -> None:
        if self._settings.device == "auto" and any(spec.gpu_footprint for spec in specs):
            self.gpus = await asyncio.to_thread(gpus)

    async def run(self) -> None:
        while self.gpus:
            await asyncio.sleep(GPU_INTERVAL)
            # In a thread, since a faulty driver can block its caller for long.
            self.gpus = await asyncio.to_thread(gpus)

    def pool(self, spec: ModelSpec, on_change: Callable[[], None], on_progress: OnProgress) -> Pool:
        placements = placement.placements(spec, self._settings.workers, self.gpus, self._placements)
        self._placements += placements
        if any(placement.gpu is not None for placement in placements):
            self._on_gpu.add(spec.name)
        if problem := placement.too_small(spec, placements, self.gpus):
            log.warning("not enough GPU memory", model=spec.name, problem=problem)
        folders = _folders(self._settings.models_path / spec.name, self._settings.data_dir)
        starters = [local.opener(placement.environment) for placement in placements]
        return Pool(
            spec.name, _load(self._settings, spec, folders), len(placements), limits=_limits(self._settings),
            recycling=_recycling(self._settings), channel_of=lambda number: starters[number - 1],
            on_change=on_change, on_progress=on_progress,
        )  # fmt: skip

    def device(self, spec: ModelSpec) -> Device | None:
        if not spec.local:
            return None
        # Several GPUs count as one device: a pool's workers are spread over them, and a unit may go to any worker.
        return self._devices.setdefault("gpu" if spec.name in self._on_gpu else "cpu", Device())

    async def stop(self) -> None:
        pass


class RayBackend:
    """Runs workers as actors on the nodes of a Ray cluster. Models that only call another server run locally."""

    def __init__(self, settings: Settings, demand: Demand) -> None:
        self._settings, self._demand = settings, demand
        self._local = LocalBackend(settings)
        self.gpus: tuple[Gpu, ...] = ()
        self._changed_event = asyncio.Event()
        self.ray = RayClient(settings.ray_address, settings.data_dir.absolute(), self._changed_event.set)
        self._pools: dict[str, tuple[ModelSpec, Pool]] = {}
        self._autoscale: dict[str, AutoscalePolicy] = {}
        #: The rank of this server among those that share the cluster, and their number.
        self._rank, self._servers = 0, 1
        self._tasks = TaskSet("antiphon.models")

    def fetches_files(self, spec: ModelSpec) -> bool:
        return spec.movable

    async def start(self, specs: list[ModelSpec]) -> None:
        pass

    async def run(self) -> None:
        """Adjusts the number of workers. For `auto` it is what the cluster's nodes can run. Between two bounds it
        follows the queue, and Ray's autoscaler adds nodes for workers that find no place."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DEMAND_INTERVAL):
                    await self._changed_event.wait()
            self._changed_event.clear()
            self._rank, self._servers = await self._demand.servers()
            if not self.ray.nodes:
                continue
            for spec, pool in self._pools.values():
                workers = self._target(spec)
                if workers != pool.replicas:
                    log.info("number of workers", model=spec.name, workers=workers, nodes=len(self.ray.nodes))
                    # In a task, so that surplus workers do not delay the next change.
                    self._tasks.spawn(pool.resize(workers, SHRINK_GRACE), f"resize {spec.name}")

    def pool(self, spec: ModelSpec, on_change: Callable[[], None], on_progress: OnProgress) -> Pool:
        if not spec.movable:
            return self._local.pool(spec, on_change, on_progress)
        s = self._settings
        models, node = (s.ray_models_dir or s.models_path).absolute(), (s.ray_folder or s.data_dir / "node").absolute()
        cpus, cards = self._share(spec)
        offline = s.offline or not s.download
        arguments = {"model": spec.name, "models_dir": str(models), "first": s.hub, "offline": offline}
        share = NodeShare(
            cpus=cpus, gpus=cards, folder=node,
            environment={name: os.environ[name] for name in s.ray_env if name in os.environ},
            prepare="antiphon.models.ray_node:prepare", arguments=arguments,
        )  # fmt: skip
        folders = _folders(models / spec.name, node)
        if (span := s.workers_span) is not None:
            self._autoscale[spec.name] = AutoscalePolicy(*span, s.scale_seconds, s.scale_down)
        start = self.ray.opener(spec.name, share)
        pool = Pool(
            spec.name, _load(s, spec, folders), self._target(spec), limits=_limits(s),
            recycling=replace(_recycling(s), spare_first=False), channel_of=lambda number: start,
            on_change=on_change, on_progress=on_progress,
        )  # fmt: skip
        self._pools[spec.name] = spec, pool
        self._changed_event.set()
        return pool

    def device(self, spec: ModelSpec) -> Device | None:
        # Each worker on a node has CPUs and GPUs of its own, so that models need not take turns.
        return None if spec.movable else self._local.device(spec)

    async def stop(self) -> None:
        await self._tasks.stop(grace=SHRINK_GRACE)
        await self.ray.close()

    def _share(self, spec: ModelSpec) -> tuple[float, float]:
        """CPUs and GPUs that one worker of a model reserves."""
        s, usual = self._settings, float(bool(spec.gpu_footprint) and self._settings.device == "auto")
        cpus, cards = values.by_model(s.ray_cpus), values.by_model(s.ray_gpus)
        return cpus.get(spec.name, cpus.get("*", 1.0)), cards.get(spec.name, cards.get("*", usual))

    def _target(self, spec: ModelSpec) -> int:
        """The number of workers that a model should have now."""
        if isinstance(self._settings.workers, int):
            return max(1, self._settings.workers)
        if (scale := self._autoscale.get(spec.name)) is not None:
            return scale.workers(*self._demand.backlog(spec.name), time.monotonic())
        cpus, cards = self._share(spec)
        capacity = sum(
            int(min(node.gpus / cards, node.cpus / cpus if cpus else node.gpus / cards))
            if cards
            else int(node.cpus / cpus if cpus else 1)
            for node in self.ray.nodes
        )
        # Models and servers that compete for the same CPUs or GPUs get equal parts of them.
        rivals = sum(bool(self._share(other)[1]) == bool(cards) for other, _ in self._pools.values())
        share, rest = divmod(capacity // max(1, rivals), self._servers)
        return max(1, share + (self._rank < rest))


def make(settings: Settings, demand: Demand) -> WorkerBackend:
    """The backend that the settings name. Raises `InvalidRequest` for settings that contradict each other."""
    if settings.executor == "ray":
        if not _installed("ray"):
            raise errors.InvalidRequest("--executor ray needs Ray: pip install 'antiphon[ray]'", param="executor")
        return RayBackend(settings, demand)
    if settings.workers_span is not None:
        why = f"--workers {settings.workers} follows the queue, which needs --executor ray; here give a number, or auto"
        raise errors.InvalidRequest(why, param="workers")
    return LocalBackend(settings)


def _installed(module: str) -> bool:
    """Whether a module can be imported; found out without importing it, which only the workers do."""
    try:
        return find_spec(module) is not None
    except ValueError:  # `sys.modules` holds None in its place.
        return False


def _folders(model: Path, data: Path) -> dict[str, str]:
    return {"dir": str(model), "voices": str(data / "voices"), "uploads": str(data / "uploads")}


def _load(settings: Settings, spec: ModelSpec, folders: Mapping[str, str]) -> frames.Load:
    configured = settings.options_by_model().get(spec.name, {})
    options: dict[str, Any] = {**spec.options, "threads": placement.threads(spec), **folders, **configured}
    return frames.Load(plugins.engine_reference(spec.engine), options)


def _limits(settings: Settings) -> WorkerLimits:
    s = settings
    return WorkerLimits(heartbeat_timeout=s.heartbeat_timeout, unit_timeout=s.unit_timeout, cancel_grace=s.cancel_grace)


def _recycling(settings: Settings) -> Recycling:
    return Recycling(settings.recycle_units, settings.recycle_growth, settings.recycle_leak)
