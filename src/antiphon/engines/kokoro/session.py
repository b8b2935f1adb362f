"""Session: runs an ONNX model on the CPU and stops in the middle of a computation on a cancel."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from antiphon.domain.engine import Context

#: Seconds between two checks for a cancel.
POLL = 0.05
#: Gives the memory of a computation back when it is done. Without it the arena keeps what the longest text needed: a
#: worker that read texts of mixed lengths held 986 MB, with it 219 MB.
_SHRINK = ("memory.enable_memory_arena_shrinkage", "cpu:0")


class Interrupted(Exception):
    """A cancel stopped the computation."""


class Interruption:
    """Stops the computations of one engine's sessions; they share one."""

    def __init__(self) -> None:
        self.options: Any = None

    @contextlib.contextmanager
    def watching(self, context: Context) -> Iterator[None]:
        """Inside the block a cancel stops the computation within a tenth of a second."""
        options, done = run_options(), threading.Event()
        self.options = options
        watcher = threading.Thread(target=_watch, args=(context, options, done), name="cancel watcher", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
            self.options = None


class Session:
    """An `InferenceSession` that can be interrupted."""

    def __init__(self, model: Path, threads: int, interruption: Interruption) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A thread that waits for its part of the work must not turn round on a core that others need: with two threads
        # it took 1.4 times the processor time of one, and was slower than one on a busy machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._interruption = interruption
        self._plain = run_options()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, outputs: Any, feed: Mapping[str, Any]) -> Any:
        """Raises `Interrupted` if a cancel stopped it."""
        options = self._interruption.options
        try:
            return self._session.run(outputs, feed, options or self._plain)
        except Exception as e:
            if options is not None and options.terminate:
                raise Interrupted from e
            raise


def run_options() -> Any:
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry(*_SHRINK)
    return options


def _watch(context: Context, options: Any, done: threading.Event) -> None:
    while not done.wait(POLL):
        if context.cancelled():
            options.terminate = True
            return
