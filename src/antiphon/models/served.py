"""Served model: one model of this server, its files, workers, queue and state."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from antiphon.catalog import models as catalog
from antiphon.catalog.download import PullProgress
from antiphon.domain.engine import Capabilities
from antiphon.domain.job import Kind
from antiphon.domain.kind import KindTraits
from antiphon.domain.paths import shortened
from antiphon.domain.unit import UnitResult
from antiphon.schedule.dispatch import Dispatcher
from antiphon.worker.channel import StartProgress
from antiphon.worker.pool import Pool

#: Bytes that a worker is assumed to take until one was started, if the model's specification gives none.
UNKNOWN = 64 * 1024 * 1024


@dataclass(slots=True)
class ServedModel:
    """One model that the settings name, from the start of the server to its end, whether it can run or not."""

    spec: catalog.ModelSpec
    pool: Pool
    dispatcher: Dispatcher
    traits: KindTraits
    #: Progress of fetching the model's files to this machine; None while none are fetched.
    pull: PullProgress | None = None
    #: Why the model cannot run, and what would help.
    error: str | None = None
    hint: str | None = None
    started: bool = False
    last_state: str = "stopped"
    #: When the present load began (monotonic seconds), None while the model is not loading; seconds of the last load.
    started_at: float | None = None
    load_seconds: float | None = None
    #: Most bytes that its workers took.
    _measured: int = 0

    @property
    def name(self) -> str:
        return self.spec.name

    def problem(self, result: UnitResult) -> str | None:
        """Why a worker's result is malformed for the model's kind of work; None if it is not."""
        assert self.capabilities is not None
        return self.traits.check_result(self.capabilities, result)

    @property
    def capabilities(self) -> Capabilities | None:
        return self.pool.capabilities

    @property
    def kind(self) -> Kind:
        """The kind of work it does: from the engine's capabilities, or from the catalog until they are known."""
        return self.capabilities.kind if self.capabilities else self.spec.kind

    @property
    def state(self) -> str:
        """One of missing, downloading, starting, loading, warming, ready, degraded, unavailable, asleep."""
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
        """Progress of fetching its files, here or on a worker's node; None while none are fetched."""
        return self.pull or self.pool.fetching

    @property
    def usable(self) -> bool:
        """Whether requests for the model can be accepted."""
        return self.capabilities is not None and self.state not in ("unavailable", "missing", "downloading", "stopped")

    @property
    def becoming_usable(self) -> bool:
        """Whether the model is not usable yet, but is being fetched or started."""
        return not self.usable and self.state in ("downloading", "starting", "loading", "warming")

    # Memory and load (`residency.MemoryTenant`)

    @property
    def footprint(self) -> int:
        """Bytes that its workers take together: the most that was measured, else an estimate."""
        if self.pool.size:
            self._measured = max(self._measured, self.pool.size)
        estimate = max(self.spec.footprint, self.spec.gpu_footprint, UNKNOWN) * max(1, self.pool.replicas)
        return self._measured or estimate

    @property
    def footprint_known(self) -> bool:
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
        """Seconds until the model is loaded, by its last load; None while it is not loading, or if it never was."""
        if self.started_at is None or self.load_seconds is None:
            return None
        return round(max(0.0, self.load_seconds - (time.monotonic() - self.started_at)), 1)

    def measure_load(self) -> None:
        """Measures the seconds of a load. Called whenever the state may have changed."""
        if self.loading and not self.usable and self.fetching is None:
            self.started_at = self.started_at or time.monotonic()
        else:
            if self.started_at is not None and self.usable:
                self.load_seconds = time.monotonic() - self.started_at
            self.started_at = None

    async def load(self) -> None:
        """Begins to start its workers; returns at once."""
        await self.pool.start()

    def hold(self, held: bool) -> None:
        self.pool.on_hold = held

    async def unload(self, grace: float) -> None:
        await self.pool.stop(grace)

    def describe(self) -> dict[str, Any]:
        """The entry in /health."""
        pull, fetching = self.pull, self.fetching
        return {
            "name": self.name, "state": self.state, "phase": pull.phase if pull else self.pool.phase,
            "bytes_done": fetching.bytes_done if fetching else None,
            "bytes_total": fetching.bytes_total if fetching else None,
            "eta": fetching.eta if fetching else self.load_eta,
            "computation": shortened(self.capabilities.computation) if self.capabilities else "",
            "error": _public(self.error or self.pool.error), "hint": _public(self.hint or self.pool.hint),
        }  # fmt: skip


def _public(text: str | None) -> str | None:
    """A text of an engine or a library, as clients may see it."""
    return text and shortened(text)
