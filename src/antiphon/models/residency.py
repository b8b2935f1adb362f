"""Which models are in memory: all of them where nothing bounds it, else those in use, never more than the budget holds.

A model that is not in memory sleeps: its capabilities are known, its work is taken and queued, and the first of it
wakes the model. Room is made by putting to sleep what has been idle longest; while all are busy they take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

log = structlog.get_logger("antiphon.models")

#: Seconds that a busy model has the memory before another one that waits gets its turn; at least so many times as long
#: as it takes to load, so that most of the time is spent on work.
TURN_SECONDS, TURN_LOADS = 15.0, 3.0
#: Seconds that running work gets before a model is put to sleep.
GRACE = 30.0
#: Seconds between looks while something waits.
LOOK = 0.25


class MemoryTenant(Protocol):
    """A model as this room sees it."""

    @property
    def name(self) -> str: ...
    @property
    def need(self) -> int:
        """Bytes it takes, or will take."""
        ...

    @property
    def known(self) -> bool:
        """Whether `need` is more than a guess."""
        ...

    @property
    def loading(self) -> bool: ...
    @property
    def running(self) -> int:
        """Units at its workers."""
        ...

    @property
    def waiting(self) -> int:
        """Jobs in its queue."""
        ...

    async def load(self) -> None:
        """Begins to; returns at once."""
        ...

    def hold(self, held: bool) -> None:
        """Hands out nothing further while it is held."""
        ...

    async def unload(self, grace: float) -> None: ...


@dataclass(slots=True, eq=False)
class ResidentModel:
    tenant: MemoryTenant
    loaded: bool = False
    #: Monotonic seconds: since when it is in memory, when it last had something to do, when it was asked for.
    loaded_at: float = 0.0
    used_at: float = 0.0
    wanted_since: float | None = None
    #: Seconds that its last load took; None while it loads.
    load_seconds: float | None = 0.0
    #: Since when it is held, for it is to sleep.
    unloading_since: float | None = None
    #: Why it can never be loaded.
    refused: str | None = None


@dataclass(slots=True)
class Residency:
    #: Bytes; 0: no bound.
    budget: int = 0
    #: Seconds of idleness by model's name, `*` for the others; 0: it stays.
    keep_alive: Mapping[str, float] = field(default_factory=dict)
    on_change: Callable[[str], None] = lambda name: None
    clock: Callable[[], float] = time.monotonic
    residents: dict[str, ResidentModel] = field(default_factory=dict)
    _changed_event: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def bounded(self) -> bool:
        return bool(self.budget) or any(self.keep_alive.values())

    @property
    def _moving(self) -> bool:
        return any(
            resident.unloading_since is not None or resident.load_seconds is None
            for resident in self.residents.values()
        )

    async def add(self, tenant: MemoryTenant) -> None:
        """A model whose files are here; it is loaded once, so that what it can do is known."""
        resident = self.residents[tenant.name] = ResidentModel(tenant)
        if self.budget:
            self.load(tenant.name)
        else:
            await self._begin_load(resident)

    def load(self, name: str) -> None:
        """Somebody wants the model; does nothing if it is awake, or not ours."""
        resident = self.residents.get(name)
        if resident is None:
            return
        resident.used_at = self.clock()
        if not resident.loaded and resident.wanted_since is None:
            resident.wanted_since = self.clock()
            self._changed_event.set()

    def is_unloaded(self, name: str) -> bool:
        resident = self.residents.get(name)
        return resident is not None and not resident.loaded and resident.refused is None

    def unload(self, name: str) -> None:
        """Puts a model to sleep once what runs is done, until somebody wants it; does nothing if it sleeps."""
        resident = self.residents[name]
        resident.wanted_since = None
        if resident.loaded:
            self._begin_unload(resident, "asked")

    def changed(self) -> None:
        """Something may have become idle, ready or free."""
        self._changed_event.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self._changed_event.clear()
            await self.step()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK if self.bounded or self._moving else None):
                    await self._changed_event.wait()

    async def step(self) -> None:
        """One look at all: who is idle, who wants to be loaded, for whom there is room."""
        self._notice()
        await self._let_go()
        self._keep_within()
        for resident in sorted(
            (s for s in self.residents.values() if s.wanted_since is not None), key=lambda s: s.wanted_since or 0.0
        ):
            if not self._room(resident):
                break  # Whoever waits longest is next, however small the others are.
            if resident.refused is None:
                await self._begin_load(resident)
        for resident in self.residents.values():
            longest = self.keep_alive.get(resident.tenant.name, self.keep_alive.get("*", 0.0))
            if longest and resident.loaded and _idle(resident) and self.clock() - resident.used_at >= longest:
                self._begin_unload(resident, f"idle for {longest:g} s")

    def _notice(self) -> None:
        """Who is at work now, and who sleeps although there is work."""
        now = self.clock()
        for resident in self.residents.values():
            if resident.load_seconds is None and not resident.tenant.loading:
                resident.load_seconds, resident.loaded_at = now - resident.loaded_at, now
            if not _idle(resident):
                resident.used_at = now
                if not resident.loaded and resident.wanted_since is None and resident.refused is None:
                    resident.wanted_since = now

    def _keep_within(self) -> None:
        """A model may turn out to need more than was guessed: then others leave at once."""
        staying = [
            resident for resident in self.residents.values() if resident.loaded and resident.unloading_since is None
        ]
        over = sum(resident.tenant.need for resident in staying) - self.budget
        while self.budget and over > 0 and len(staying) > 1 and (victim := self._victim(at_once=True)) is not None:
            self._begin_unload(victim, "the memory for models is full")
            over -= victim.tenant.need
            staying.remove(victim)

    def _room(self, resident: ResidentModel) -> bool:
        """Whether there is room for it; begins to make some if there is none."""
        need = resident.tenant.need
        if self.budget and need > self.budget:
            resident.wanted_since = None
            resident.refused = (
                f"it needs {need / 2**20:.0f} MiB; the memory for models is {self.budget / 2**20:.0f} MiB"
            )
            self.on_change(resident.tenant.name)
            return True
        loaded = [other for other in self.residents.values() if other.loaded]
        if self.budget and any(other.load_seconds is None and not other.tenant.known for other in loaded):
            # What that one needs is seen when it is there.
            return False
        taken = sum(other.tenant.need for other in loaded)
        if not self.budget or taken + need <= self.budget:
            return True
        # What is about to leave is waited for before anybody else is asked to.
        taken -= sum(other.tenant.need for other in loaded if other.unloading_since is not None)
        while taken + need > self.budget and (victim := self._victim()) is not None:
            self._begin_unload(victim, f"room for {resident.tenant.name}")
            taken -= victim.tenant.need
        return False

    def _victim(self, *, at_once: bool = False) -> ResidentModel | None:
        """The longest idle; while all are at work, the one that has had its turn for longest, or, `at_once`, has been
        there for longest."""
        settled = [
            s for s in self.residents.values() if s.loaded and s.unloading_since is None and s.load_seconds is not None
        ]
        idle = [resident for resident in settled if _idle(resident)]
        if idle:
            return min(idle, key=lambda resident: resident.used_at)
        now = self.clock()
        served = [
            resident
            for resident in settled
            if at_once or now - resident.loaded_at >= max(TURN_SECONDS, TURN_LOADS * (resident.load_seconds or 0.0))
        ]
        return min(served, key=lambda resident: resident.loaded_at, default=None)

    async def _begin_load(self, resident: ResidentModel) -> None:
        resident.wanted_since, resident.loaded, resident.load_seconds = None, True, None
        resident.loaded_at = resident.used_at = self.clock()
        await resident.tenant.load()

    def _begin_unload(self, resident: ResidentModel, why: str) -> None:
        if resident.unloading_since is None:
            log.info("model goes to sleep", model=resident.tenant.name, why=why)
            resident.unloading_since = self.clock()
            resident.tenant.hold(True)
            self._changed_event.set()

    async def _let_go(self) -> None:
        for resident in self.residents.values():
            if resident.unloading_since is None or (
                resident.tenant.running and self.clock() - resident.unloading_since < GRACE
            ):
                continue
            await resident.tenant.unload(2.0)
            resident.tenant.hold(False)
            resident.loaded, resident.unloading_since = False, None
            if resident.tenant.waiting and resident.wanted_since is None:
                resident.wanted_since = self.clock()
            self.on_change(resident.tenant.name)


def _idle(resident: ResidentModel) -> bool:
    return not (resident.tenant.running or resident.tenant.waiting or resident.tenant.loading)
