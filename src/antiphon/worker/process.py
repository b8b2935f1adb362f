"""The server's side of one worker process: starts it, sends it units, watches its pulse, and ends it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities
from antiphon.domain.unit import Unit, UnitResult
from antiphon.worker import frames, local, result_checks
from antiphon.worker.channel import Channel, ChannelCallbacks, ChannelFactory, StartProgress
from antiphon.worker.in_flight import NO_BLAME, ExitReason, InFlightUnit, WorkerLimits, error_of
from antiphon.worker.redact import LogRedactor

WorkerState = Literal["starting", "loading", "warming", "ready", "dead"]

#: Seconds between two looks at the clocks of a worker.
TICK = 0.25
#: Seconds that a worker without work gets to close its engine.
STOP_PATIENCE = 2.0


class WorkerProcess:
    """One life of one worker process; a restart is another object. Everything is called in the event loop's thread."""

    def __init__(
        self,
        name: str,
        engine: str,
        options: Mapping[str, Any],
        limits: WorkerLimits | None = None,
        *,
        start_channel: ChannelFactory | None = None,
        on_change: Callable[[], None] = lambda: None,
        on_line: Callable[[str], None] = lambda line: None,
        on_progress: Callable[[Unit, float], None] = lambda unit, fraction: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`start_channel` starts its process; None: a child of this one.

        `on_change` is called when a slot became free, the state changed or a beat came, `on_line` for each line
        that the process prints, `on_progress` with how far a unit is, 0 to 1. None may raise."""
        self.name, self.engine, self.limits = name, engine, limits or WorkerLimits()
        self._options, self._on_change, self._clock = dict(options), on_change, clock
        self._start_channel, self._on_progress = start_channel or local.opener(), on_progress
        self.state: WorkerState = "starting"
        self.phase: frames.Phase | None = None
        #: While its process cannot start yet.
        self.start_progress: StartProgress | None = None
        self.capabilities: Capabilities | None = None
        #: Seconds since the epoch.
        self.started_at = time.time()
        #: Bytes.
        self.rss, self.vram = 0, 0
        #: Bytes, main memory and GPU together, when it became ready.
        self.size_ready = 0
        #: Units answered with a result.
        self.units = 0
        #: Units it was given, those included that it has not answered.
        self.given = 0
        #: False: it gets no further units.
        self.accepting = True
        #: Why it ended; None while it lives.
        self.exit_reason: ExitReason | None = None
        #: What would help, if it could not load its engine.
        self.hint: str | None = None
        self._stopping = False
        self._serials = itertools.count(1)
        self._in_flight: dict[int, InFlightUnit] = {}
        self._decoder = frames.Decoder(frames.AT_SERVER)
        self._redactor = LogRedactor()
        self._on_line = on_line
        #: Set once it is ready or gone; once it is to end; once it is reaped; whenever a unit was answered.
        self._settled, self._ending, self._gone, self._answered = (asyncio.Event() for _ in range(4))
        self._channel: Channel
        self._life: asyncio.Task[None] | None = None

    # What it is like

    @property
    def pid(self) -> int | None:
        return self._channel.pid if self._life is not None else None

    @property
    def node(self) -> str | None:
        """The machine it runs on; None: this one."""
        return self._channel.node if self._life is not None else None

    @property
    def slots(self) -> int:
        """Units it computes at the same time; 0 when it is not ready, or gets no further ones."""
        ready = self.state == "ready" and self.accepting and self.exit_reason is None
        return self.capabilities.slots if ready and self.capabilities else 0

    @property
    def free(self) -> int:
        return max(0, self.slots - len(self._in_flight))

    @property
    def busy(self) -> list[str]:
        """Ids of the units that it holds."""
        return [in_flight.unit.id for in_flight in self._in_flight.values()]

    @property
    def size(self) -> int:
        """Bytes, main memory and GPU together."""
        return self.rss + self.vram

    @property
    def reason(self) -> str:
        """Why it ended, for people."""
        return self._redactor.redact(self.exit_reason.reason) if self.exit_reason else ""

    # Start, run, cancel, kill, stop

    async def start(self) -> Capabilities:
        """Starts the process and waits until it is ready. Raises `WorkerDied` with the reason if that fails.

        Whoever cancels this, or gets no answer, ends the worker by `stop`.
        """
        await self._connect()
        self._send(frames.Load(self.engine, self._options))
        await self._settled.wait()
        if self.capabilities is None or self.exit_reason is not None:
            raise errors.WorkerDied(self.reason)
        return self.capabilities

    async def run(self, unit: Unit) -> UnitResult:
        """Runs a unit. Raises `Cancelled`, `WorkerDied` (`Displaced` if it is not to blame) or what the engine raised.

        When the caller is cancelled the unit is, too; its slot is free once the worker has dropped it.
        """
        if not self.slots:
            raise errors.Displaced(f"worker {self.name} takes no units")
        serial = next(self._serials)
        try:
            frame = frames.encode(frames.Run(serial, dict(unit.recipe.params)))
        except errors.FrameError as e:
            raise errors.UnitFailed(f"This segment cannot be given to a worker: {e.message}") from e
        in_flight = InFlightUnit(unit, asyncio.get_running_loop().create_future(), self._clock())
        self._in_flight[serial] = in_flight
        self.given += 1
        self._redactor.remember(unit.recipe.params)
        try:
            await self._give(serial, in_flight, frame)
            return await in_flight.future
        except asyncio.CancelledError:
            self._drop(serial, in_flight)
            raise

    def cancel(self, unit_id: str) -> bool:
        """Asks for the unit to be dropped; whether it is here. Not dropped within the grace, the worker is killed."""
        found = [(serial, in_flight) for serial, in_flight in self._in_flight.items() if in_flight.unit.id == unit_id]
        for serial, in_flight in found:
            self._drop(serial, in_flight)
        return bool(found)

    def progress(self, unit_id: str) -> float | None:
        """How far a unit is, 0 to 1; None if it is not here."""
        return next(
            (in_flight.progress for in_flight in self._in_flight.values() if in_flight.unit.id == unit_id), None
        )

    def kill(self, reason: str, *, fault: bool = True, blame: frozenset[int] | None = None) -> None:
        """Ends it at once. `fault`: whether that counts as a crash; `blame`: serials of the guilty units, None: all."""
        if self.exit_reason is None and self._life is not None:
            self.exit_reason = ExitReason(reason, fault, blame)
            self._channel.kill()
            self._ending.set()

    async def stop(self, grace: float) -> None:
        """Lets it finish what it holds for `grace` seconds, then ends it; returns when the process is gone."""
        if self._life is None:
            return
        self.accepting = False
        try:
            async with asyncio.timeout(grace if self.state == "ready" else 0):
                while self._in_flight:
                    self._answered.clear()
                    await self._answered.wait()
            async with asyncio.timeout(STOP_PATIENCE if self.state == "ready" else 0):
                self._stopping = True
                self._send(frames.Stop())
                await self._gone.wait()
        except TimeoutError:
            self.kill("stopped", fault=False, blame=frozenset())
        await self._gone.wait()
        await asyncio.shield(self._life)

    async def wait(self) -> ExitReason:
        """Waits until the process is gone and reaped."""
        await self._gone.wait()
        assert self.exit_reason is not None
        return self.exit_reason

    # The pipe

    def _send(self, message: frames.Message) -> None:
        self._channel.write(frames.encode(message))

    async def _give(self, serial: int, in_flight: InFlightUnit, frame: bytes) -> None:
        try:
            await self._channel.ensure_files(in_flight.unit.recipe.params)
        except errors.WorkerDied:
            return  # Its end is told to all that it holds.
        except errors.UnitFailed as e:
            failure = e
            self._answer(serial, lambda in_flight: in_flight.fail(failure))
            return
        if serial in self._in_flight:
            in_flight.sent = True
            self._channel.write(frame)

    def _drop(self, serial: int, in_flight: InFlightUnit) -> None:
        """Asks the worker to drop a unit, once; the clock of its grace begins."""
        if not in_flight.sent:
            self._answer(serial, lambda in_flight: in_flight.fail(errors.Cancelled()))
        elif in_flight.cancel_by is None and self.exit_reason is None and serial in self._in_flight:
            in_flight.cancel_by = self._clock() + self.limits.cancel_grace
            self._send(frames.Cancel(serial))

    def _received(self, data: bytes) -> None:
        self._seen = self._clock()
        if self.exit_reason is not None:
            return
        try:
            for message, payload in self._decoder.feed(data):
                self._take(message, payload)
        except errors.FrameError as e:
            self.kill(f"it wrote what is no frame: {e.message}")

    def _lost(self) -> None:
        """The pipe ended: so did the process, or it soon will."""
        if self.exit_reason is None:
            self.exit_reason = ExitReason("", not self._stopping, NO_BLAME if self._stopping else None)
        self._ending.set()

    def _take(self, message: frames.ToServer, payload: bytes) -> None:
        match message:
            case frames.Chunk(unit=serial):
                self._keep(serial, payload)
            case frames.Done(unit=serial, seconds=seconds, meta=meta):
                self._keep(serial, payload)
                self._answer(serial, lambda in_flight: self._finish(in_flight, meta, seconds))
                self.units += 1
            case frames.Failed(unit=serial, code=code, message=text, fatal=fatal):
                if fatal:
                    self.kill(text, blame=frozenset({serial}))
                else:
                    self._answer(serial, lambda in_flight: in_flight.fail(error_of(code, text)))
            case frames.Progress(unit=serial, fraction=fraction):
                if (in_flight := self._in_flight.get(serial)) is not None:
                    in_flight.progress = fraction
                    self._on_progress(in_flight.unit, fraction)
            case frames.Heartbeat(rss=rss, vram=vram):
                self.rss, self.vram = rss, vram or 0
            case frames.Phase():
                self.phase = message
                self.state = "warming" if message.name == "warming" else "loading"
                self._on_change()
            case frames.Ready(capabilities=can):
                self.capabilities, self.size_ready, self.state = can, self.size, "ready"
                self._settled.set()
                self._on_change()
            case frames.LoadFailed(message=text, hint=hint):
                self.hint = hint
                self.exit_reason = ExitReason(text, True)
                self._ending.set()

    def _keep(self, serial: int, payload: bytes) -> None:
        in_flight = self._in_flight.get(serial)
        if in_flight is None:
            return
        in_flight.size += len(payload)
        if in_flight.size > self.limits.max_result:
            self.kill(f"a unit's result is over {self.limits.max_result} bytes", blame=frozenset({serial}))
        elif payload:
            in_flight.pieces.append(payload)

    def _answer(self, serial: int, tell: Callable[[InFlightUnit], None]) -> None:
        in_flight = self._in_flight.pop(serial, None)
        if in_flight is not None:
            tell(in_flight)
            self._answered.set()
            self._on_change()

    def _finish(self, in_flight: InFlightUnit, meta: dict[str, Any], seconds: float) -> None:
        payload = in_flight.pieces[0] if len(in_flight.pieces) == 1 else b"".join(in_flight.pieces)
        assert self.capabilities is not None
        try:
            result_checks.check(self.capabilities, payload, meta)
        except errors.UnitFailed as e:
            in_flight.fail(e)
        else:
            in_flight.succeed(UnitResult(payload, meta, seconds, self.name))

    # Its life, watched

    async def _connect(self) -> None:
        self._seen = self._begun = self._looked = self._clock()
        callbacks = ChannelCallbacks(
            on_data=self._received,
            on_end=self._lost,
            on_line=lambda line: self._on_line(self._redactor.redact(line)),
            on_start_progress=self._start_progressed,
        )
        try:
            self._channel = await self._start_channel(callbacks)
        except errors.WorkerDied as e:
            # A start that failed before there was a process is a failed start like any other.
            self.state, self.exit_reason, self.hint = "dead", ExitReason(e.message, True, NO_BLAME), e.hint
            self._gone.set()
            raise
        finally:
            self.start_progress = None
        # What came before, a node or files that were waited for, is no time of the process.
        self._seen = self._begun = self._looked = self._clock()
        self._life = asyncio.create_task(self._live(), name=f"worker {self.name}")
        self._on_change()

    def _start_progressed(self, progress: StartProgress) -> None:
        self.start_progress, self.state = progress, "loading"
        self.phase = frames.Phase(progress.what, progress.fraction)
        self._on_change()

    async def _live(self) -> None:
        try:
            while not self._ending.is_set():
                try:
                    async with asyncio.timeout(TICK):
                        await self._ending.wait()
                except TimeoutError:
                    self._check(self._clock())
            await self._bury()
        except asyncio.CancelledError:
            self._channel.abort()
            raise
        finally:
            await self._channel.close()

    def _check(self, now: float) -> None:
        """Kills it if a clock ran out."""
        if (late := now - self._looked - TICK) > TICK:
            # The server itself did not run: what the worker said meanwhile is not read yet.
            self._seen += late
        self._looked = now
        limits, ready = self.limits, self.state == "ready"
        silence = limits.heartbeat_timeout if ready else limits.start_silence
        if self._channel.exited():
            self._lost()
        elif now - self._seen > silence:
            self.kill(f"no heartbeat for {silence:g} s")
        elif not ready and now - self._begun > limits.load_timeout:
            self.kill(f"not ready {limits.load_timeout:g} s after its start")
        for serial, in_flight in self._in_flight.items():
            if in_flight.cancel_by is not None:
                if now >= in_flight.cancel_by:
                    self.kill(
                        f"a cancelled unit was not dropped in {limits.cancel_grace:g} s", fault=False, blame=NO_BLAME
                    )
            elif now - in_flight.since > limits.unit_timeout:
                self.kill(f"a unit took longer than {limits.unit_timeout:g} s", blame=frozenset({serial}))

    async def _bury(self) -> None:
        """After the end: collects the exit status and the last words, and tells those who wait."""
        words = await self._channel.reap()
        assert self.exit_reason is not None
        if not self.exit_reason.reason:
            self.exit_reason = ExitReason(self._redactor.redact(words), self.exit_reason.fault, self.exit_reason.blame)
        self.state = "dead"
        for serial, in_flight in self._in_flight.items():
            in_flight.fail(in_flight.error_at_end(serial, self.name, self.exit_reason))
        self._in_flight.clear()
        self._settled.set()
        self._answered.set()
        self._gone.set()
        self._on_change()
