"""Bench: runs one engine in a real worker process, for checks."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from antiphon import plugins
from antiphon.app.kinds import KINDS, traits_of
from antiphon.domain import errors
from antiphon.domain.engine import Capabilities
from antiphon.domain.unit import Recipe, SpeechParams, Unit, UnitResult
from antiphon.worker import frames
from antiphon.worker.limits import WorkerLimits
from antiphon.worker.process import WorkerProcess

#: Hz of recordings to transcribe.
RATE = 16_000


class Skip(Exception):
    """The check does not apply to this engine; the message says why."""


class Broken(AssertionError):
    """The engine does not keep the contract; the message says how."""


Check = Callable[["Bench"], Awaitable[None]]


def expect(kept: object, problem: str) -> None:
    """Raises `Broken` unless `kept` is true."""
    if not kept:
        raise Broken(problem)


@dataclass(slots=True)
class Bench:
    """An engine that is loaded and warm, and what a check does with it."""

    worker: WorkerProcess
    capabilities: Capabilities
    #: Folder of recordings, by digest.
    uploads: Path
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def run(self, params: Mapping[str, Any]) -> UnitResult:
        """Runs one unit. Raises what the engine raised, or `Broken` if the worker died."""
        unit = self.unit(params)
        try:
            result = await self.worker.run(unit)
        except errors.WorkerDied as e:
            raise Broken(f"the worker died: {e.message}") from e
        if problem := traits_of(KINDS)[self.capabilities.kind].check_result(self.capabilities, result):
            raise errors.UnitFailed(f"The model's answer is not what a model for its kind of work gives: {problem}")
        return result

    def unit(self, params: Mapping[str, Any]) -> Unit:
        recipe = Recipe(self.capabilities.kind, self.worker.name, self.capabilities.revision, dict(params))
        return Unit(f"check{next(self._numbers)}", 0, recipe, 1.0)

    async def cancel(self, params: Mapping[str, Any]) -> None:
        """Cancels a unit just after its start; the engine must drop it in time."""
        unit = self.unit(params)
        running = asyncio.ensure_future(self.worker.run(unit))
        await asyncio.sleep(0)
        self.worker.cancel(unit.id)
        with contextlib.suppress(errors.Cancelled):
            await running
        expect(self.worker.exit_reason is None, f"the cancelled unit was not dropped in time: {self.worker.reason}")

    async def say(self, text: str, **more: Any) -> bytes:
        """PCM of a text in the default voice; `more` are fields of `SpeechParams`."""
        language = more.pop("language", self.capabilities.languages[0] if self.capabilities.languages else "en")
        voice = more.pop("voice", self.capabilities.voice_by_language.get(language, self.capabilities.default_voice))
        return (await self.run(SpeechParams(text, voice, language, **more).as_params())).payload

    def seconds(self, audio: bytes) -> float:
        return len(audio) / 2 / self.capabilities.sample_rate

    def record(self, name: str, seconds: float, *, loud: bool = True) -> str:
        """Writes a recording of a wavering tone, or of silence. Returns its name, which stands for a digest."""
        count, level = int(seconds * RATE), 9000 if loud else 0
        wave = (int(level * math.sin(n / 9) * math.sin(n / 2500)) for n in range(count))
        (self.uploads / f"{name}.pcm").write_bytes(struct.pack(f"<{count}h", *wave))
        return name


@contextlib.asynccontextmanager
async def bench(engine: str, options: Mapping[str, Any], *, cancel_grace: float = 30.0) -> AsyncIterator[Bench]:
    """A bench with an engine, named by its entry point or as `module:Class`. Raises `Broken` if it does not start."""
    reference = engine if ":" in engine else plugins.engine_reference(engine)
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        given = {"dir": folder, "threads": 1, "uploads": folder, "voices": folder, **options}
        name = engine.partition(":")[0]
        worker = WorkerProcess(name, frames.Load(reference, given), WorkerLimits(cancel_grace=cancel_grace))
        try:
            try:
                capabilities = await worker.start()
            except errors.WorkerDied as e:
                hint = f" ({worker.hint})" if worker.hint else ""
                raise Broken(f"the engine does not start: {e.message}{hint}") from e
            yield Bench(worker, capabilities, Path(folder))
        finally:
            await asyncio.shield(asyncio.ensure_future(worker.stop(1.0)))
