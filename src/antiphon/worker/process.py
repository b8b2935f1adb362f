"""A worker process, seen from the server: its start, its units, the watch over its heartbeat, and its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Literal

from antiphon.domain import errors
from antiphon.domain.engine import Capabilities
from antiphon.domain.unit import OnChunk, Unit, UnitResult
from antiphon.worker import frames, local
from antiphon.worker.channel import Channel, ChannelCallbacks, ChannelFactory, StartProgress
from antiphon.worker.exit_reason import NO_BLAME, ExitReason
from antiphon.worker.in_flight import InFlightUnit, UnitsInFlight, error_of
from antiphon.worker.limits import WorkerLimits
from antiphon.worker.redact import LogRedactor
from antiphon.worker.watchdog import TICK, Watchdog

WorkerState = Literal["starting", "loading", "warming", "ready", "dead"]

#: Seconds that a worker without work gets to close its engine.
STOP_PATIENCE = 2.0


class WorkerProcess:
    """One process, from its start to its end; a restart is another object. Used in one event loop."""

    def __init__(
        self,
        name: str,
        load: frames.Load,
        limits: WorkerLimits | None = None,
        *,
        start_channel: ChannelFactory | None = None,
        on_change: Callable[[], None] = lambda: None,
        on_line: Callable[[str], None] = lambda line: None,
        on_progress: Callable[[Unit, float], None] = lambda unit, fraction: None,
    ) -> None:
        """`load`: the engine that it builds. `start_channel` starts the process; None: a child of this one.

        `on_change` is called when a slot became free or the state changed, `on_line` for each line that the process
        prints, `on_progress` with how far a unit is, 0 to 1. None of them may raise."""
        self.name, self.limits = name, limits or WorkerLimits()
        self._load, self._start_channel = load, start_channel or local.opener()
        self._on_change, self._on_line, self._on_progress = on_change, on_line, on_progress
        self.state: WorkerState = "starting"
        self.phase: frames.Phase | None = None
        #: What its start waits for; None once its process runs.
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
        #: Units that it was given, answered or not.
        self.given = 0
        #: False: it gets no further units.
        self.accepting = True
        #: Why it ended; None while it lives.
        self.exit_reason: ExitReason | None = None
        #: What would help, if it could not load its engine.
        self.hint: str | None = None
        self._stopping = False
        self._in_flight = UnitsInFlight()
        self._decoder = frames.Decoder(frames.AT_SERVER)
        self._redactor = LogRedactor()
        self._watchdog = Watchdog(self.limits, time.monotonic())
        #: Set once it is ready or gone; once it is to end; once it is reaped.
        self._settled, self._ending, self._gone = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._channel: Channel
        self._watch: asyncio.Task[None] | None = None

    # What it is like

    @property
    def pid(self) -> int | None:
        return self._channel.pid if self._watch is not None else None

    @property
    def node(self) -> str | None:
        """The machine it runs on; None: this one."""
        return self._channel.node if self._watch is not None else None

    @property
    def slots(self) -> int:
        """Units that it computes at the same time; 0 unless it is ready and accepts units."""
        ready = self.state == "ready" and self.accepting and self.exit_reason is None
        return self.capabilities.slots if ready and self.capabilities else 0

    @property
    def parallel(self) -> int:
        """As `Capabilities.parallel`; 0 unless it is ready and accepts units."""
        return self.capabilities.parallel if self.slots and self.capabilities else 0

    @property
    def free(self) -> int:
        """Slots without a unit; 0 while it has a unit that is to be alone."""
        alone = any(each.unit.wish.alone for each in self._in_flight)
        return 0 if alone else max(0, self.slots - len(self._in_flight))

    @property
    def busy(self) -> list[str]:
        """Ids of its units in flight."""
        return [each.unit.id for each in self._in_flight]

    @property
    def size(self) -> int:
        """Bytes, main memory and GPU together."""
        return self.rss + self.vram

    @property
    def reason(self) -> str:
        """Why it ended, for people; without texts of clients."""
        return self._redactor.redact(self.exit_reason.reason) if self.exit_reason else ""

    # Start, run, cancel, kill, stop

    async def start(self) -> Capabilities:
        """Starts the process and waits until it is ready. Raises `WorkerDied` with the reason if that fails.

        A caller that is cancelled, or gets an error, ends the worker by `stop`."""
        await self._connect()
        self._send(self._load)
        await self._settled.wait()
        if self.capabilities is None or self.exit_reason is not None:
            raise errors.WorkerDied(self.reason)
        return self.capabilities

    async def run(self, unit: Unit, *, on_chunk: OnChunk | None = None) -> UnitResult:
        """Runs a unit. Raises the engine's error, `Cancelled` or `WorkerDied` (`Displaced`: the unit is not to blame).
        `on_chunk`: as for an `Executor`.

        When the caller is cancelled so is the unit; its slot is free once the worker has dropped it."""
        if not self.slots:
            raise errors.Displaced(f"worker {self.name} takes no units")
        serial = self._in_flight.next_serial()
        try:
            wish = unit.wish
            frame = frames.encode(frames.Run(serial, dict(unit.recipe.params), wish.live, wish.alone, wish.spelled))
        except errors.FrameError as e:
            raise errors.UnitFailed(f"This segment cannot be given to a worker: {e.message}") from e
        added = self._in_flight.add(serial, unit, time.monotonic())
        added.on_chunk = on_chunk if unit.wish.live else None
        self.given += 1
        self._redactor.remember(unit.recipe.params)
        try:
            await self._give(added, frame)
            return await added.future
        except asyncio.CancelledError:
            self._drop(added)
            raise

    def cancel(self, unit_id: str) -> bool:
        """Asks the worker to drop a unit within the grace, or it is killed; False if the unit is not here."""
        found = [each for each in self._in_flight if each.unit.id == unit_id]
        for each in found:
            self._drop(each)
        return bool(found)

    def kill(self, exit_reason: ExitReason) -> None:
        """Ends it at once."""
        if self.exit_reason is None and self._watch is not None:
            self.exit_reason = exit_reason
            self._channel.kill()
            self._ending.set()

    async def stop(self, grace: float) -> None:
        """Lets it finish its units for `grace` seconds, then ends it; returns when the process is gone."""
        if self._watch is None:
            return
        self.accepting = False
        try:
            async with asyncio.timeout(grace if self.state == "ready" else 0):
                await self._in_flight.wait_until_empty()
            async with asyncio.timeout(STOP_PATIENCE if self.state == "ready" else 0):
                self._stopping = True
                self._send(frames.Stop())
                await self._gone.wait()
        except TimeoutError:
            self.kill(ExitReason("stopped", fault=False, blame=NO_BLAME))
        await self._gone.wait()
        await asyncio.shield(self._watch)

    async def wait(self) -> ExitReason:
        """Waits until the process is gone and reaped."""
        await self._gone.wait()
        assert self.exit_reason is not None
        return self.exit_reason

    # The channel

    def _send(self, message: frames.Message) -> None:
        self._channel.write(frames.encode(message))

    async def _give(self, unit: InFlightUnit, frame: bytes) -> None:
        try:
            await self._channel.ensure_files(unit.unit.recipe.params)
        except errors.WorkerDied:
            return  # `_bury` fails the unit.
        except errors.UnitFailed as e:
            self._fail(unit.serial, e)
            return
        if unit.unit.wish.alone:
            await self._in_flight.wait_until_empty(but=unit.serial)
        if unit in self._in_flight:
            unit.sent, unit.since = True, time.monotonic()
            self._channel.write(frame)

    def _drop(self, unit: InFlightUnit) -> None:
        """Asks the worker to drop a unit, once, and starts the clock of its grace."""
        if not unit.sent:
            self._fail(unit.serial, errors.Cancelled())
        elif unit.cancel_by is None and self.exit_reason is None and unit in self._in_flight:
            unit.cancel_by = time.monotonic() + self.limits.cancel_grace
            self._send(frames.Cancel(unit.serial))

    def _received(self, data: bytes) -> None:
        self._watchdog.seen(time.monotonic())
        if self.exit_reason is not None:
            return
        try:
            for message, payload in self._decoder.feed(data):
                self._take(message, payload)
        except errors.FrameError as e:
            self.kill(ExitReason(f"it wrote what is no frame: {e.message}", fault=True))

    def _lost(self) -> None:
        """The channel ended: so did the process, or it soon will."""
        if self.exit_reason is None:
            self.exit_reason = ExitReason("", not self._stopping, NO_BLAME if self._stopping else None)
        self._ending.set()

    def _take(self, message: frames.ToServer, payload: bytes) -> None:
        match message:
            case frames.Chunk(unit=serial):
                self._add_chunk(serial, payload)
            case frames.Done(unit=serial, seconds=seconds, meta=meta):
                if self._add_chunk(serial, payload):
                    self._done(serial, seconds, meta)
            case frames.Failed(unit=serial, code=code, message=text, fatal=fatal, suspects=suspects):
                if fatal:
                    self.kill(ExitReason(text, fault=True, blame=frozenset(suspects or {serial})))
                else:
                    self._fail(serial, error_of(code, text))
            case frames.Progress(unit=serial, fraction=fraction):
                if (unit := self._in_flight.get(serial)) is not None:
                    self._on_progress(unit.unit, fraction)
            case frames.Heartbeat(rss=rss, vram=vram, steps=steps):
                self.rss, self.vram = rss, vram or 0
                self._watchdog.steps(steps, time.monotonic())
            case frames.Phase():
                self.phase = message
                self.state = "warming" if message.name == "warming" else "loading"
                self._on_change()
            case frames.Ready(capabilities=can):
                self.capabilities, self.size_ready, self.state = can, self.size, "ready"
                self.limits = self._watchdog.limits = self.limits.of(can)
                self._settled.set()
                self._on_change()
            case frames.LoadFailed(message=text, hint=hint):
                self.hint = hint
                self.exit_reason = ExitReason(text, fault=True)
                self._ending.set()

    def _add_chunk(self, serial: int, payload: bytes) -> bool:
        """Keeps a chunk of a unit's result; False if that is too long, and then the worker is killed."""
        unit = self._in_flight.get(serial)
        if unit is None:
            return True
        unit.size += len(payload)
        if unit.size > self.limits.max_result:
            reason = f"a unit's result is over {self.limits.max_result} bytes"
            self.kill(ExitReason(reason, fault=True, blame=frozenset({serial})))
            return False
        if payload:
            unit.chunks.append(payload)
            if unit.on_chunk is not None and unit.cancel_by is None:
                unit.on_chunk(payload)
        return True

    def _fail(self, serial: int, error: errors.AntiphonError) -> None:
        if (unit := self._in_flight.remove(serial)) is not None:
            unit.fail(error)
            self._on_change()

    def _done(self, serial: int, seconds: float, meta: dict[str, Any]) -> None:
        self.units += 1
        if (unit := self._in_flight.remove(serial)) is not None:
            payload = unit.chunks[0] if len(unit.chunks) == 1 else b"".join(unit.chunks)
            shared = self.capabilities is not None and self.capabilities.sharing == "one"
            unit.succeed(UnitResult(payload, meta, seconds, self.name, shared))
            self._on_change()

    # From its start to its end, watched

    async def _connect(self) -> None:
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
            self.state, self.exit_reason, self.hint = "dead", ExitReason(e.message, fault=True, blame=NO_BLAME), e.hint
            self._gone.set()
            raise
        finally:
            self.start_progress = None
        # The wait for a node or for files does not count against the process.
        self._watchdog.reset(time.monotonic())
        self._watch = asyncio.create_task(self._live(), name=f"worker {self.name}")
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
                    self._check(time.monotonic())
            await self._bury()
        except asyncio.CancelledError:
            # As when the event loop ends. Nobody may wait for ever for an end that is not watched any more.
            self._channel.abort()
            self.exit_reason = self.exit_reason or ExitReason("stopped", fault=False, blame=NO_BLAME)
            self._ended(self.exit_reason)
            raise
        finally:
            await self._channel.close()

    def _check(self, now: float) -> None:
        """Kills it if a limit is passed."""
        if self._channel.exited():
            self._lost()
            return
        passed = self._watchdog.check(now, self.state == "ready", busy=len(self._in_flight) > 0)
        if passed := passed or self._in_flight.expired(now, self.limits):
            self.kill(passed)

    async def _bury(self) -> None:
        """After the end: collects the exit status and the last words, and fails the units in flight."""
        words = await self._channel.reap()
        assert self.exit_reason is not None
        if not self.exit_reason.reason:
            self.exit_reason = ExitReason(self._redactor.redact(words), self.exit_reason.fault, self.exit_reason.blame)
        self._ended(self.exit_reason)

    def _ended(self, exit_reason: ExitReason) -> None:
        self.state = "dead"
        sharing = self.capabilities is not None and self.capabilities.sharing == "one"
        self._in_flight.fail_all(self.name, exit_reason, sharing=sharing)
        self._settled.set()
        self._gone.set()
        self._on_change()
