"""An onnxruntime session on the CPU whose computation can be broken off from outside."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from antiphon.domain.engine import Context

#: Seconds between two looks at whether anybody still wants the unit.
POLL = 0.05


class Interrupted(Exception):
    """Nobody wants the result any more; the computation stopped half-way."""


class Session:
    """Stands where an `InferenceSession` is expected."""

    def __init__(self, model: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._new_options = onnxruntime.RunOptions
        self._options: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, outputs: Any, feed: Mapping[str, Any]) -> Any:
        """Raises `Interrupted` when a cancel broke it off."""
        options = self._options
        try:
            return self._session.run(outputs, feed, options)
        except Exception as e:
            if options is not None and options.terminate:
                raise Interrupted from e
            raise

    @contextlib.contextmanager
    def interruptible(self, context: Context) -> Iterator[None]:
        """Inside the block a cancel stops the computation within a tenth of a second, not at its end."""
        self._options, done = self._new_options(), threading.Event()
        watcher = threading.Thread(
            target=_watch, args=(context, self._options, done), name="cancel watcher", daemon=True
        )
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
            self._options = None


def _watch(context: Context, options: Any, done: threading.Event) -> None:
    while not done.wait(POLL):
        if context.cancelled():
            options.terminate = True
            return
