"""The worker process: builds one engine, computes the units that it is sent, and sends a heartbeat every second.

The server starts it as `python -m antiphon.worker.child DESCRIPTOR PARENT`. It imports little, since the small engines
are to be ready at once. The main thread computes, one thread reads the pipe, one sends heartbeats.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import Any, NoReturn

from antiphon.domain import errors
from antiphon.domain.engine import BatchEngine, Capabilities, Engine, problems
from antiphon.worker import frames, memory
from antiphon.worker.batch import Batch

HEARTBEAT_SECONDS = 1.0
#: Seconds between two progress messages of one unit.
PROGRESS_SECONDS = 0.2
#: Characters of an error message that are sent; the rest is cut off.
MESSAGE_CHARS = 2000
#: Exit status after a fatal error (EX_SOFTWARE).
EXIT_FATAL = 70

_PR_SET_PDEATHSIG = 1
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
#: Libraries report every start and every model to their makers unless these are set: ONNX Runtime since 1.29, the
#: hub's client, vLLM. An operator who wants that sets the variable to another value.
_NO_TELEMETRY = ("DO_NOT_TRACK", "ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY")
#: After an error of the GPU's runtime every later call fails too or, worse, gives a wrong answer.
_GPU_ERROR = re.compile(r"\b(cuda|cudnn|cublas|cufft|nccl|hip)(\b|_)", re.IGNORECASE)


def main() -> NoReturn:
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    # A terminal's Ctrl-C and a service manager's SIGTERM go to the whole group, but the server ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Libraries print. What they print belongs in the log, not into the pipe.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    os.set_inheritable(descriptor, False)
    for name in _NO_TELEMETRY:
        os.environ.setdefault(name, "1")
    Child(descriptor).live()


def die_with(parent: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Makes the kernel end this process when the parent ends, also when the parent is killed."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, how, 0, 0, 0)
    if os.getppid() != parent:  # It ended before the call above.
        os._exit(0)


class Child:
    """The worker, in the order of its life: load, warm, serve, close."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._sending = threading.Lock()
        self._work: SimpleQueue[frames.Load | frames.Run | frames.Stop] = SimpleQueue()
        #: Units that were received and are not answered yet; those of them that were cancelled.
        self._open: set[int] = set()
        self._cancelled: set[int] = set()
        #: The steps of a batching engine so far.
        self.steps: int | None = None

    def live(self) -> NoReturn:
        threading.Thread(target=self._send_heartbeats, name="heartbeat", daemon=True).start()
        threading.Thread(target=self._read, name="pipe", daemon=True).start()
        first = self._work.get()
        if isinstance(first, frames.Load):
            engine, can = self._load(first)
            self._serve(engine, can)
            with contextlib.suppress(Exception):
                engine.close()
        # Not sys.exit: an orderly teardown of native libraries can crash, and gains nothing.
        sys.stderr.flush()
        os._exit(0)

    # Load and warm

    def _load(self, load: frames.Load) -> tuple[Engine | BatchEngine, Capabilities]:
        threads = load.options.get("threads")
        if isinstance(threads, int) and threads > 0:
            for name in _THREAD_VARIABLES:
                os.environ[name] = str(threads)
        try:
            self._phase("importing")
            module, _, name = load.engine.partition(":")
            engine: Engine | BatchEngine = getattr(importlib.import_module(module), name)(load.options)
            engine.load(self._phase)
            self._phase("warming")
            engine.warm()
            can = engine.capabilities()
            if wrong := problems(can):
                raise ValueError("; ".join(wrong))
            self.send(frames.Heartbeat(memory.rss(), memory.vram()))
            self.send(frames.Ready(can))
        except Exception as e:
            self._print_place(e)
            self.send(frames.LoadFailed(describe(e), hint_of(e)))
            os._exit(1)
        return engine, can

    def _phase(self, name: str, fraction: float | None = None) -> None:
        self.send(frames.Phase(cleaned(name), None if fraction is None else clamp(fraction)))

    # Serve

    def _serve(self, engine: Any, can: Capabilities) -> None:
        if is_batching(engine):
            Batch(self, engine, can).serve()
            return
        names = (f"compute {number}" for number in range(1, can.slots))
        others = [threading.Thread(target=self._compute, args=(engine, can), name=name) for name in names]
        for thread in others:
            thread.start()
        self._compute(engine, can)
        for thread in others:
            thread.join()

    def _compute(self, engine: Engine, can: Capabilities) -> None:
        while isinstance(message := self._work.get(), frames.Run):
            try:
                self._run(engine, can, message)
            except SystemExit as e:
                # In another thread than the main one this would end only the thread: the process would lack a slot.
                sys.stderr.flush()
                os._exit(e.code if isinstance(e.code, int) else 1)
            self.answered(message.unit)
        self._work.put(message)  # So that the next thread stops too.

    def _run(self, engine: Engine, can: Capabilities, run: frames.Run) -> None:
        unit, began = run.unit, time.perf_counter()
        meta: dict[str, Any] = {"sample_rate": can.sample_rate} if can.kind == "speech" else {}
        last: bytes | memoryview = b""
        try:
            if run.spelled:
                spelled = engine.phonemes(run.params).encode("utf-8", "replace")  # type: ignore[attr-defined]
                self.send(frames.Done(unit, time.perf_counter() - began, meta), spelled)
                return
            for piece in pieces(engine, run.params, self.context(unit), meta):
                if run.live:
                    self.send(frames.Chunk(unit), piece)
                    continue
                # The last piece comes with `Done`, which saves a frame.
                if last:
                    self.send(frames.Chunk(unit), last)
                last = piece
            if unit in self._cancelled:
                raise errors.Cancelled
            self.send(frames.Done(unit, time.perf_counter() - began, meta), last)
        except Exception as e:
            self.fail(unit, e)

    def fail(self, unit: int, error: Exception) -> None:
        """Tells that a unit failed; ends the process if the error is fatal."""
        code = error.code if isinstance(error, errors.AntiphonError) else errors.UnitFailed.code
        if not isinstance(error, errors.AntiphonError):
            self._print_place(error)
        fatal = is_fatal(error)
        self.send(frames.Failed(unit, code, describe(error), fatal))
        if fatal:
            os._exit(EXIT_FATAL)

    def fail_step(self, error: Exception, suspects: frozenset[int]) -> NoReturn:
        """Tells that a step failed, with the units that took part in it, and ends the process."""
        self._print_place(error)
        units = tuple(sorted(suspects))
        self.send(frames.Failed(units[0], errors.UnitFailed.code, describe(error), True, units))
        os._exit(EXIT_FATAL)

    def next_message(self, *, wait: bool) -> frames.Load | frames.Run | frames.Stop | None:
        """What the server sent; None if there is nothing and `wait` is false."""
        try:
            return self._work.get(block=wait)
        except Empty:
            return None

    def answered(self, unit: int) -> None:
        self._open.discard(unit)
        self._cancelled.discard(unit)

    def cancelled(self, unit: int) -> bool:
        return unit in self._cancelled

    def context(self, unit: int) -> UnitContext:
        return UnitContext(self, unit)

    @staticmethod
    def _print_place(error: Exception) -> None:
        """Prints where an error happened, for the log; not its message, which may quote a client's text."""
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        if place is not None:
            code = place.tb_frame.f_code
            note(f"{type(error).__name__} in {code.co_filename}:{place.tb_lineno} ({code.co_name})")

    # The pipe

    def send(self, message: frames.Message, payload: bytes | memoryview = b"") -> None:
        """Writes one frame; ends the process when the server no longer reads."""
        left = memoryview(frames.encode(message, payload))
        with self._sending:
            try:
                while left:
                    left = left[os.write(self._descriptor, left) :]
            except OSError:
                os._exit(0)

    def _read(self) -> NoReturn:
        decoder = frames.Decoder(frames.AT_WORKER)
        try:
            while data := os.read(self._descriptor, 1 << 16):
                for message, _ in decoder.feed(data):
                    self._take(message)
        except (OSError, errors.FrameError) as e:
            note(f"the pipe from the server failed: {e}")
            os._exit(1)
        os._exit(0)

    def _take(self, message: frames.ToWorker) -> None:
        if isinstance(message, frames.Cancel):
            self._cancelled |= self._open & {message.unit}
            return
        if isinstance(message, frames.Run):
            self._open.add(message.unit)
        self._work.put(message)

    def _send_heartbeats(self) -> NoReturn:
        while True:
            self.send(frames.Heartbeat(memory.rss(), memory.vram(), self.steps))
            time.sleep(HEARTBEAT_SECONDS)


class UnitContext:
    """What the engine can call while it runs a unit."""

    def __init__(self, child: Child, unit: int) -> None:
        self._child, self._unit = child, unit
        # The first report comes after a while, so short units send none.
        self._reported = time.monotonic()

    def cancelled(self) -> bool:
        return self._child.cancelled(self._unit)

    def progress(self, fraction: float) -> None:
        now = time.monotonic()
        if now - self._reported >= PROGRESS_SECONDS:
            self._reported = now
            self._child.send(frames.Progress(self._unit, clamp(fraction)))


def pieces(
    engine: Engine, params: Mapping[str, Any], context: UnitContext, meta: dict[str, Any]
) -> Iterator[bytes | memoryview]:
    """The engine's chunks in pieces that fit into frames; what it says about them is added to `meta`."""
    for chunk in engine.run(params, context):
        yield from frames.pieces(chunk)
        meta.update(chunk.meta)
        if context.cancelled():
            return


def is_batching(engine: Engine | BatchEngine) -> bool:
    return hasattr(engine, "step")


def note(line: str) -> None:
    """Prints a line for the server's log."""
    sys.stderr.write(line + "\n")


def is_fatal(error: Exception) -> bool:
    """Whether this process must end after the error."""
    if getattr(error, "fatal", False) or isinstance(error, MemoryError):
        return True
    # Torch raises RuntimeError; other errors may quote a text about CUDA.
    return isinstance(error, RuntimeError) and bool(_GPU_ERROR.search(f"{type(error).__name__} {error}"))


def describe(error: Exception) -> str:
    """The error as a message to the server."""
    if isinstance(error, errors.AntiphonError):
        return cleaned(error.message)
    return cleaned(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def hint_of(error: Exception) -> str | None:
    """What would help: the error's attribute `hint`, or what its type suggests; None if nothing is known."""
    hint = getattr(error, "hint", None)
    if isinstance(hint, str):
        return cleaned(hint)
    if isinstance(error, ModuleNotFoundError):
        return f"install the Python package that has the module {error.name!r}, then start the server again"
    return None


def cleaned(text: str) -> str:
    """The text cut to `MESSAGE_CHARS` and valid as UTF-8: file names may hold lone surrogates."""
    return text[:MESSAGE_CHARS].encode("utf-8", "replace").decode("utf-8")


def clamp(fraction: float) -> float:
    """The fraction within 0 to 1; NaN becomes 0."""
    return min(max(float(fraction), 0.0), 1.0) if fraction == fraction else 0.0


if __name__ == "__main__":
    main()
