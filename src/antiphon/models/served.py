"""One model of this server, from the moment its files are wanted to the end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from antiphon.catalog import models as catalog
from antiphon.catalog.download import PullProgress
from antiphon.domain.engine import Capabilities
from antiphon.domain.job import Kind
from antiphon.schedule.dispatch import Dispatcher
from antiphon.worker.channel import StartProgress
from antiphon.worker.pool import Pool

#: Bytes that a worker is thought to take before one was started, where its model does not say.
UNKNOWN = 64 * 1024 * 1024


@dataclass(slots=True)
class ServedModel:
    """One model of this server, from the moment its files are wanted to the end."""

    spec: catalog.ModelSpec
    pool: Pool
    dispatcher: Dispatcher
    #: Set while files are being fetched.
    pull: PullProgress | None = None
    #: Why it cannot run, and what would help.
    error: str | None = None
    hint: str | None = None
    started: bool = False
    last_state: str = "stopped"
    #: Monotonic seconds since when it starts, None while it does not; and how long that took the last time.
    started_at: float | None = None
    load_seconds: float | None = None
    #: Bytes that its workers were seen to take.
    _measured: int = 0

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def capabilities(self) -> Capabilities | None:
        return self.pool.capabilities

    @property
    def kind(self) -> Kind:
        """What it does: as the engine says, or as the catalog does until the engine could."""
        return self.capabilities.kind if self.capabilities else self.spec.kind

    @property
    def state(self) -> str:
        """missing, downloading, starting, loading, warming, ready, degraded, unavailable or asleep."""
        if self.started:
            if self.error is not None:
                return "unavailable"
            if self.capabilities is None and self.pool.fetching and self.pool.state in ("starting", "loading"):
                return "downloading"
            if self.pool.state != "stopped":
                return self.pool.state
            return "asleep" if self.capabilities is not None else "starting"
        if self.pull is not None:
            return "downloading"
        return "unavailable" if self.error else "missing"

    @property
    def fetching(self) -> PullProgress | StartProgress | None:
        """How far its files are, here or where a worker waits for them; None while none are fetched."""
        return self.pull or self.pool.fetching

    @property
    def usable(self) -> bool:
        return self.capabilities is not None and self.state not in ("unavailable", "missing", "downloading", "stopped")

    @property
    def coming(self) -> bool:
        """Not usable yet, but on its way."""
        return not self.usable and self.state in ("downloading", "starting", "loading", "warming")

    # As a tenant of the memory

    @property
    def need(self) -> int:
        """Bytes that its workers take together."""
        if self.pool.size:
            self._measured = max(self._measured, self.pool.size)
        guess = max(self.spec.footprint, self.spec.gpu_footprint, UNKNOWN) * max(1, self.pool.replicas)
        return self._measured or guess

    @property
    def known(self) -> bool:
        return bool(self._measured or self.spec.footprint or self.spec.gpu_footprint)

    @property
    def loading(self) -> bool:
        return self.started and self.state in ("downloading", "starting", "loading", "warming")

    @property
    def running(self) -> int:
        return self.dispatcher.running

    @property
    def waiting(self) -> int:
        return len(self.dispatcher.queue)

    @property
    def load_eta(self) -> float | None:
        """Seconds until it can work, by what its last start took; None if it does not start, or never has before."""
        if self.started_at is None or self.load_seconds is None:
            return None
        return round(max(0.0, self.load_seconds - (time.monotonic() - self.started_at)), 1)

    def note_start(self) -> None:
        """Measures starts, as its state changes."""
        if self.loading and not self.usable and self.fetching is None:
            self.started_at = self.started_at or time.monotonic()
        else:
            if self.started_at is not None and self.usable:
                self.load_seconds = time.monotonic() - self.started_at
            self.started_at = None

    async def load(self) -> None:
        """Begins to start its workers."""
        await self.pool.start()

    def hold(self, held: bool) -> None:
        self.pool.on_hold = held

    async def unload(self, grace: float) -> None:
        await self.pool.stop(grace)

    def describe(self) -> dict[str, Any]:
        """The entry in /health."""
        pull, fetching = self.pull, self.fetching
        return {
            "name": self.name,
            "state": self.state,
            "phase": pull.phase if pull else self.pool.phase,
            "bytes_done": fetching.bytes_done if fetching else None,
            "bytes_total": fetching.bytes_total if fetching else None,
            "eta": fetching.eta if fetching else self.load_eta,
            "error": self.error or self.pool.error,
            "hint": self.hint or self.pool.hint,
        }
