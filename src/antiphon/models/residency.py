"""Residency: which models are in memory: all of them without a budget, else those in use, within the budget.

An unloaded model still has its capabilities and a queue. The first job in the queue loads the model. To make room for
it, the model that was idle longest is unloaded; while all models are busy, they take turns."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

log = structlog.get_logger("antiphon.models")

#: A busy model's turn in memory while another waits: at least so many seconds, and so many times its load time, so that
#: most of the time is spent on work.
TURN_SECONDS, TURN_LOADS = 15.0, 3.0
#: Seconds that running units get to finish before their model is unloaded.
GRACE = 30.0
#: Seconds between steps while a model may have to be loaded or unloaded.
STEP_INTERVAL = 0.25


class MemoryTenant(Protocol):
    """What residency needs to know of a model, and can do with it."""

    @property
    def name(self) -> str: ...
    @property
    def footprint(self) -> int:
        """Bytes of memory that the model takes, or will take once loaded."""

    @property
    def footprint_known(self) -> bool:
        """Whether `footprint` is more than a guess."""

    @property
    def loading(self) -> bool: ...
    @property
    def running(self) -> int:
        """Units at its workers."""

    @property
    def waiting(self) -> int:
        """Jobs in its queue."""

    async def load(self) -> None:
        """Begins to load; returns at once."""

    def hold(self, held: bool) -> None:
        """While held, the model's workers get no further units."""

    async def unload(self, grace: float) -> None: ...


@dataclass(slots=True, eq=False)
class ResidentModel:
    """A model and its place in memory. Times are monotonic seconds."""

    tenant: MemoryTenant
    loaded: bool = False
    #: When it was loaded, when it last had work, and when a job asked for it while it was unloaded.
    loaded_at: float = 0.0
    used_at: float = 0.0
    requested_at: float | None = None
    #: Seconds that its last load took; None while it loads.
    load_seconds: float | None = 0.0
    #: When its unloading began; None while it is not being unloaded.
    unloading_since: float | None = None
    #: Why it can never be loaded.
    refused: str | None = None


@dataclass(slots=True)
class Residency:
    """Decides when each model is loaded and unloaded. Used in one event loop."""

    #: Bytes that all models in memory may take; 0: no limit.
    budget: int = 0
    #: Seconds after which an idle model is unloaded, by name, `*` for the others; 0: never.
    keep_alive: Mapping[str, float] = field(default_factory=dict)
    #: Receives the name of a model that was unloaded or refused.
    on_change: Callable[[str], None] = lambda name: None
    clock: Callable[[], float] = time.monotonic
    residents: dict[str, ResidentModel] = field(default_factory=dict)
    _changed_event: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def bounded(self) -> bool:
        """Whether a budget or a keep-alive time can require unloading."""
        return bool(self.budget) or any(self.keep_alive.values())

    @property
    def _in_transition(self) -> bool:
        """Whether a model is being loaded or unloaded."""
        return any(s.unloading_since is not None or s.load_seconds is None for s in self.residents.values())

    async def add(self, tenant: MemoryTenant) -> None:
        """Adds a model whose files are here, and loads it once so that its capabilities are known."""
        resident = self.residents[tenant.name] = ResidentModel(tenant)
        if self.budget:
            self.load(tenant.name)
        else:
            await self._begin_load(resident)

    def load(self, name: str) -> None:
        """Asks for a model to be loaded; does nothing if it is in memory, or not resident here."""
        if (resident := self.residents.get(name)) is None:
            return
        resident.used_at = self.clock()
        if not resident.loaded and resident.requested_at is None:
            resident.requested_at = self.clock()
            self._changed_event.set()

    def is_unloaded(self, name: str) -> bool:
        """Whether a model is out of memory and can be loaded."""
        resident = self.residents.get(name)
        return resident is not None and not resident.loaded and resident.refused is None

    def unload(self, name: str) -> None:
        """Unloads a model once its running units are done, until it is asked for again."""
        resident = self.residents[name]
        resident.requested_at = None
        if resident.loaded:
            self._begin_unload(resident, "the operator asked for it")

    def changed(self) -> None:
        """Wakes `run`, since a model may have become idle or ready."""
        self._changed_event.set()

    async def run(self) -> None:
        """Loads and unloads models until it is cancelled."""
        while True:
            self._changed_event.clear()
            await self.step()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STEP_INTERVAL if self.bounded or self._in_transition else None):
                    await self._changed_event.wait()

    async def step(self) -> None:
        """Loads the models that are asked for if there is room, and unloads those that were idle too long."""
        self._update_times()
        await self._finish_unloads()
        self._enforce_budget()
        requested = [s for s in self.residents.values() if s.requested_at is not None]
        for resident in sorted(requested, key=lambda s: s.requested_at or 0.0):
            if not self._has_room(resident):
                break  # The model that waits longest is next, however small the others are.
            if resident.refused is None:
                await self._begin_load(resident)
        for resident in self.residents.values():
            longest = self.keep_alive.get(resident.tenant.name, self.keep_alive.get("*", 0.0))
            if longest and resident.loaded and _idle(resident) and self.clock() - resident.used_at >= longest:
                self._begin_unload(resident, f"idle for {longest:g} s")

    def _update_times(self) -> None:
        """Notes which models have finished loading, which are at work, and which are unloaded but have work."""
        now = self.clock()
        for resident in self.residents.values():
            if resident.load_seconds is None and not resident.tenant.loading:
                resident.load_seconds, resident.loaded_at = now - resident.loaded_at, now
            if not _idle(resident):
                resident.used_at = now
                if not resident.loaded and resident.requested_at is None and resident.refused is None:
                    resident.requested_at = now

    def _enforce_budget(self) -> None:
        """Unloads models at once if a model turned out to take more memory than was guessed."""
        loaded = [s for s in self.residents.values() if s.loaded and s.unloading_since is None]
        over = sum(resident.tenant.footprint for resident in loaded) - self.budget
        while self.budget and over > 0 and len(loaded) > 1 and (victim := self._victim(at_once=True)) is not None:
            self._begin_unload(victim, "the memory for models is full")
            over -= victim.tenant.footprint
            loaded.remove(victim)

    def _has_room(self, resident: ResidentModel) -> bool:
        """Whether there is room for a model; begins to unload others if there is none."""
        need = resident.tenant.footprint
        if self.budget and need > self.budget:
            resident.requested_at = None
            budget = f"the memory for models is {self.budget / 2**20:.0f} MiB"
            resident.refused = f"it needs {need / 2**20:.0f} MiB; {budget}"
            self.on_change(resident.tenant.name)
            return True
        loaded = [other for other in self.residents.values() if other.loaded]
        if self.budget and any(other.load_seconds is None and not other.tenant.footprint_known for other in loaded):
            # How much memory that model takes is measured when it has loaded.
            return False
        taken = sum(other.tenant.footprint for other in loaded)
        if not self.budget or taken + need <= self.budget:
            return True
        # The memory of models that are being unloaded counts as free, so that no more are unloaded than necessary.
        taken -= sum(other.tenant.footprint for other in loaded if other.unloading_since is not None)
        while taken + need > self.budget and (victim := self._victim()) is not None:
            self._begin_unload(victim, f"room for {resident.tenant.name}")
            taken -= victim.tenant.footprint
        return False

    def _victim(self, *, at_once: bool = False) -> ResidentModel | None:
        """The model to unload next: the longest idle; if all are busy, the one loaded longest ago whose turn is over,
        or with `at_once` whether its turn is over or not. None if there is none."""
        loaded = (s for s in self.residents.values() if s.loaded and s.unloading_since is None)
        settled = [s for s in loaded if s.load_seconds is not None]
        if idle := [s for s in settled if _idle(s)]:
            return min(idle, key=lambda s: s.used_at)
        now = self.clock()
        over = (s for s in settled if now - s.loaded_at >= max(TURN_SECONDS, TURN_LOADS * (s.load_seconds or 0.0)))
        return min(settled if at_once else over, key=lambda s: s.loaded_at, default=None)

    async def _begin_load(self, resident: ResidentModel) -> None:
        resident.requested_at, resident.loaded, resident.load_seconds = None, True, None
        resident.loaded_at = resident.used_at = self.clock()
        await resident.tenant.load()

    def _begin_unload(self, resident: ResidentModel, why: str) -> None:
        if resident.unloading_since is None:
            log.info("unloading a model", model=resident.tenant.name, why=why)
            resident.unloading_since = self.clock()
            resident.tenant.hold(True)
            self._changed_event.set()

    async def _finish_unloads(self) -> None:
        """Stops the workers of models that are to be unloaded and have no running units, or whose grace is over."""
        for resident in self.residents.values():
            if resident.unloading_since is None or (
                resident.tenant.running and self.clock() - resident.unloading_since < GRACE
            ):
                continue
            await resident.tenant.unload(2.0)
            resident.tenant.hold(False)
            resident.loaded, resident.unloading_since = False, None
            if resident.tenant.waiting and resident.requested_at is None:
                resident.requested_at = self.clock()
            self.on_change(resident.tenant.name)


def _idle(resident: ResidentModel) -> bool:
    return not (resident.tenant.running or resident.tenant.waiting or resident.tenant.loading)
